#!/usr/bin/env bash
# Version: boto3 1.44.5, botocore 1.44.5
# Behaviour: a client's Config(s3={...}) is merged key by key with the s3 section of the AWS configuration file, but
#   replaces the s3 of the session's default Config (and of Config.merge) as a whole, so the file's value shows through
#   again.
# Why it surprises: three layers, of which the middle one vanishes by a setting of another name; a Config without s3 keeps
#   it.
# Who is bitten: libraries that set path style as the session's default for a store without names for its buckets.
# Seen: file virtual, default path; Config() -> path; Config(s3={"payload_signing_enabled": True}) -> virtual.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q boto3==1.44.5 botocore==1.44.5
printf '[default]\nregion = eu-west-1\ns3 =\n  addressing_style = virtual\n' > "$work/config"
export AWS_CONFIG_FILE="$work/config" AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
unset AWS_PROFILE
"$work/venv/bin/python" - <<'PY'
import sys
import boto3, botocore.session
from botocore.config import Config

core = botocore.session.get_session()
core.set_default_client_config(Config(s3={"addressing_style": "path"}))
session = boto3.Session(botocore_session=core)
plain, more = (session.client("s3", config=config).meta.config.s3 for config in (Config(), Config(s3={"payload_signing_enabled": True})))
merged = Config(s3={"addressing_style": "path"}).merge(Config(s3={"payload_signing_enabled": True})).s3
print("another setting at all:", plain)
print("another setting of s3:", more)
print("Config.merge:", merged)
if (plain["addressing_style"], more["addressing_style"], "addressing_style" in merged) != ("path", "virtual", False):
    sys.exit("changed: the layers are merged otherwise")
PY
