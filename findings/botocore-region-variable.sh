#!/usr/bin/env bash
# Version: boto3 1.44.5, botocore 1.44.5
# Behaviour: AWS_REGION is not read, only AWS_DEFAULT_REGION and the configuration file. Without them SQS raises
#   NoRegionError, while S3 makes a client for us-east-1.
# Why it surprises: AWS's SDKs for Go, Java, JavaScript and Rust read AWS_REGION.
# Who is bitten: manifests that set it for services in several languages: S3 goes by redirects or is refused, and presigned
#   addresses name the wrong region.
# Seen: AWS_REGION=eu-west-1: session None, sqs NoRegionError, s3 us-east-1; AWS_DEFAULT_REGION=eu-west-1: eu-west-1 for
#   all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q boto3==1.44.5 botocore==1.44.5
cat > "$work/show.py" <<'PY'
import boto3

def region(service):
    try:
        return boto3.Session().client(service).meta.region_name
    except Exception as error:
        return type(error).__name__

print(boto3.Session().region_name, region("sqs"), region("s3"))
PY
export AWS_CONFIG_FILE="$work/none" AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
unset AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION
one=$(AWS_REGION=eu-west-1 "$work/venv/bin/python" "$work/show.py")
two=$(AWS_DEFAULT_REGION=eu-west-1 "$work/venv/bin/python" "$work/show.py")
echo "session, sqs, s3: AWS_REGION: $one; AWS_DEFAULT_REGION: $two"
[ "$one" = "None NoRegionError us-east-1" ] || { echo "changed: AWS_REGION" >&2; exit 1; }
[ "$two" = "eu-west-1 eu-west-1 eu-west-1" ] || { echo "changed: AWS_DEFAULT_REGION" >&2; exit 1; }
