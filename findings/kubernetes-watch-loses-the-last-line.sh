#!/usr/bin/env bash
# Version: kubernetes 30.1.0 (its Python client)
# Behaviour: Watch().stream(read_namespaced_pod_log, …) yields no line that isn't ended by a newline, so the last words of a container
#   that ends without one are lost, and a log of one such line is empty. Blank lines are left out, too.
# Why it surprises: the stream ends when the log does and nothing follows that could complete the line; the same method without Watch
#   returns it, and kubectl logs prints it.
# Who is bitten: who follows a pod for its result: `printf '{"score": 7}'`, sys.stdout.write, print(…, end="").
# Seen: b'score 7' -> [], read at once 'score 7'; b'a\n\nb\nlast' -> ['a', 'b'], read at once whole.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kubernetes==30.1.0 urllib3==2.7.0
"$work/venv/bin/python" - <<'PY'
import http.server, sys, threading
from kubernetes import client, watch

class Server(http.server.BaseHTTPRequestHandler):
    log = b""
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(Server.log)))
        self.end_headers()
        self.wfile.write(Server.log)
    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
api = client.CoreV1Api(client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}")))
for log, wanted in ((b"score 7", []), (b"score 7\n", ["score 7"]), (b"a\n\nb\nlast", ["a", "b"])):
    Server.log = log
    lines, whole = list(watch.Watch().stream(api.read_namespaced_pod_log, "pod", "default")), api.read_namespaced_pod_log("pod", "default")
    print(f"{log!r} -> followed {lines}, read at once {whole!r}")
    if lines != wanted or whole != log.decode():
        sys.exit(f"changed: expected {wanted}")
PY
