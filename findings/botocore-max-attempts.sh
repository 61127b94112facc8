#!/usr/bin/env bash
# Version: boto3 1.44.5, botocore 1.44.5
# Behaviour: max_attempts counts retries in Config(retries=...), but all attempts in the configuration file and in
#   AWS_MAX_ATTEMPTS: the same 2 sends a request three times or twice.
# Why it surprises: one name for two numbers, and neither is the name's; total_max_attempts is the one that means it.
# Who is bitten: who moves the setting from code to the environment, or reasons about the longest time that a call may take.
# Seen: requests sent: Config 3, environment 2, file 2, Config total_max_attempts 2.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q boto3==1.44.5 botocore==1.44.5
printf '[default]\nregion = eu-west-1\nmax_attempts = 2\n' > "$work/with"
printf '[default]\nregion = eu-west-1\n' > "$work/without"
export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_RETRY_MODE=standard
unset AWS_PROFILE AWS_MAX_ATTEMPTS
"$work/venv/bin/python" - "$work" <<'PY'
import http.server, os, sys, threading
import boto3
from botocore.config import Config

class Busy(http.server.BaseHTTPRequestHandler):
    count = 0
    def do_GET(self):
        Busy.count += 1
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()

def sent(file, variable=None, **retries):
    os.environ["AWS_CONFIG_FILE"] = f"{sys.argv[1]}/{file}"
    os.environ.pop("AWS_MAX_ATTEMPTS", None)
    if variable:
        os.environ["AWS_MAX_ATTEMPTS"] = variable
    client = boto3.Session().client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}", config=Config(retries=retries or None))
    Busy.count = 0
    try:
        client.list_buckets()
    except Exception:
        return Busy.count

seen = [sent("without", max_attempts=2), sent("without", "2"), sent("with"), sent("without", total_max_attempts=2)]
print("requests sent: Config {}, environment {}, file {}, Config total_max_attempts {}".format(*seen))
if seen != [3, 2, 2, 2]:
    sys.exit("changed: attempts are counted otherwise")
PY
