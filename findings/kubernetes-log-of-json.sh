#!/usr/bin/env bash
# Version: kubernetes 30.1.0 (its Python client)
# Behaviour: read_namespaced_pod_log() parses the log: where the whole log happens to be JSON it returns Python's str() of
#   the value: {"a": true} comes as "{'a': True}", 0.10 as "0.1", null as None.
# Why it surprises: a log is text and the method's type is str; a second line, or any other word, and it is left alone.
# Who is bitten: who has a pod print its result as one JSON document and reads that from the log.
# Seen: '{"a": true}' -> "{'a': True}"; '0.10' -> '0.1'; 'null' -> None; two lines -> as they are.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kubernetes==30.1.0 urllib3==2.7.0
"$work/venv/bin/python" - <<'PY'
import http.server, sys, threading
from kubernetes import client

class Server(http.server.BaseHTTPRequestHandler):
    log = ""
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(Server.log)))
        self.end_headers()
        self.wfile.write(Server.log.encode())
    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
api = client.CoreV1Api(client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}")))
for log, wanted in (('{"a": true}', "{'a': True}"), ("0.10", "0.1"), ("null", None), ('{"a": true}\n{"a": 1}', '{"a": true}\n{"a": 1}')):
    Server.log = log
    seen = api.read_namespaced_pod_log("pod", "default")
    print(f"{log!r} -> {seen!r}")
    if seen != wanted:
        sys.exit(f"changed: expected {wanted!r}")
PY
