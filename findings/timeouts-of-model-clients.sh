#!/usr/bin/env bash
# Version: openai 3.52.0, google-genai 2.34.0
# Behaviour: timeout bounds the wait for the next bytes, not the call: a server that sends a byte now and then holds a call
#   for many times its timeout. Its unit is seconds for the one and milliseconds for the other: timeout=30 is 0.03 s there.
# Why it surprises: the timeout of a call reads like a bound of the call; nothing bounds the whole.
# Who is bitten: deadlines and budgets of time, behind proxies that keep a connection alive with blanks before the answer.
# Seen: timeout 0.5 s, answer after 2 s in pieces: both answer; in one piece: APITimeoutError, ReadTimeout.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openai==3.52.0 google-genai==2.34.0
"$work/venv/bin/python" - <<'PY'
import http.server, json, sys, threading, time
import openai
from google import genai

ANSWER = json.dumps({
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}}],
}).encode()

class Slow(http.server.BaseHTTPRequestHandler):
    pieces = True
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(20 + len(ANSWER)))
        self.end_headers()
        for _ in range(20):
            time.sleep(0.1)
            if Slow.pieces:
                self.wfile.write(b" ")
        try:
            self.wfile.write((b"" if Slow.pieces else b" " * 20) + ANSWER)
        except OSError:
            pass
    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
one = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=0.5)
two = genai.Client(api_key="none", http_options={"base_url": url, "timeout": 500})

def attempt(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__

seen = []
for Slow.pieces in (True, False):
    seen.append(attempt(lambda: one.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]).choices[0].message.content))
    seen.append(attempt(lambda: two.models.generate_content(model="m", contents="x").text))
print("timeout 0.5 s, 2 s in pieces: {}, {}; in one piece: {}, {}".format(*seen))
if seen != ["hello", "hello", "APITimeoutError", "ReadTimeout"]:
    sys.exit("changed: the timeout bounds something else")
PY
