#!/usr/bin/env bash
# Version: openai 3.52.0
# Behaviour: chat.completions.create() returns a str for a 200 of type text/html, a list for a JSON list, a ChatCompletion
#   whose choices is None for {"error": …}; a body that is not JSON raises json.JSONDecodeError, which is no OpenAIError.
#   None of them is tried again.
# Why it surprises: the return type is ChatCompletion, and "except openai.OpenAIError" reads like all that can go wrong.
# Who is bitten: who speaks to compatible servers through gateways, whose sign-in pages and overload messages come with 200.
# Seen: str, list, choices None, JSONDecodeError; requests 1 1 1 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openai==3.52.0
"$work/venv/bin/python" - <<'PY'
import http.server, sys, threading
import openai

class Gateway(http.server.BaseHTTPRequestHandler):
    body, kind, count = b"", "", 0
    def do_POST(self):
        Gateway.count += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", Gateway.kind)
        self.send_header("Content-Length", str(len(Gateway.body)))
        self.end_headers()
        self.wfile.write(Gateway.body)
    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}", api_key="none", max_retries=2)
seen = []
for body, kind in ((b"<html>sign in</html>", "text/html"), (b"[1]", "application/json"), (b'{"error": {"code": 503}}', "application/json"), (b"overloaded", "application/json")):
    Gateway.body, Gateway.kind, Gateway.count = body, kind, 0
    try:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
        seen.append(f"choices {answer.choices}" if hasattr(answer, "choices") else type(answer).__name__)
    except Exception as error:
        seen.append(f"{type(error).__name__}, OpenAIError {isinstance(error, openai.OpenAIError)}")
    print(f"{body.decode()} as {kind}: {seen[-1]}, requests {Gateway.count}")
    if Gateway.count != 1:
        sys.exit("changed: it is tried again")
if seen != ["str", "list", "choices None", "JSONDecodeError, OpenAIError False"]:
    sys.exit("changed: such answers are treated otherwise")
PY
