#!/usr/bin/env python3
"""A small web application whose users log in at the appliance's pages.

    countersign app add webapp --scope challenge > webapp.json
    COUNTERSIGN_API=http://127.0.0.1:8080 COUNTERSIGN_KEY_FILE=webapp.key FLOW=login PORT=8090 ./webapp.py

webapp.key holds the "key" of webapp.json, readable by its owner alone. The address is printed once the application
listens; PORT=0 takes a free port.

It begins a flow, sends the browser to the flow's page, and gets it back with a one-time code. The code is worth
something to this application alone: the result is fetched over its own authenticated connection, once. Nothing
but the standard library is needed.
"""

import hmac
import http.cookies
import http.server
import json
import os
import secrets
import urllib.error
import urllib.parse
import urllib.request

API = os.environ.get("COUNTERSIGN_API", "http://127.0.0.1:8080")
KEY_FILE = os.environ["COUNTERSIGN_KEY_FILE"]
FLOW = os.environ.get("FLOW", "login")
PORT = int(os.environ.get("PORT", "8090"))
# Logins under way and sessions: a real application keeps them in its store, with an end.
STARTED = {}
SESSIONS = {}
LIMIT = 1000
# Straight to the appliance: a proxy of the environment would see the key.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(path, body):
    """One request to the appliance: the answer as a dict. Raises urllib.error.HTTPError for a problem."""
    with open(KEY_FILE, encoding="ascii") as file:
        key = file.read().strip()
    request = urllib.request.Request(
        API + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + key, "Content-Type": "application/json"},
    )
    with OPENER.open(request, timeout=10) as answer:
        return json.load(answer)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        try:
            if url.path == "/":
                self.home()
            elif url.path == "/login":
                self.login()
            elif url.path == "/callback":
                self.callback(urllib.parse.parse_qs(url.query))
            else:
                self.say(404, "There is nothing here.")
        except (urllib.error.URLError, TimeoutError) as error:
            self.say(503, f"The login is not available: {error}")

    def home(self):
        user = SESSIONS.get(self.cookie("session"))
        self.say(200, f"Hello {user}." if user else "You are not logged in. Go to /login.")

    def login(self):
        # The state ties the browser that comes back to the one that left.
        state = secrets.token_urlsafe(16)
        flow = call("/v1/flows", {
            "flow": FLOW,
            "return_url": f"http://127.0.0.1:{self.server.server_port}/callback",
            "state": state,
        })
        if len(STARTED) >= LIMIT:
            STARTED.pop(next(iter(STARTED)))
        STARTED[state] = flow["flow"]
        self.go_to(flow["page"], "login", state)

    def callback(self, query):
        state = query.get("state", [""])[0]
        expected = STARTED.pop(state, None)
        if expected is None or not hmac.compare_digest(state, self.cookie("login") or ""):
            self.say(400, "This login was not begun here.")
            return
        try:
            result = call("/v1/flows/result", {"code": query.get("code", [""])[0]})
        except urllib.error.HTTPError as error:
            self.say(403, f"The login did not succeed: {error.code}")
            return
        if result["flow"] != expected:
            self.say(403, "This is another login than the one that was begun here.")
            return
        if result["loa"] < 2:
            self.say(403, "The login is not strong enough.")
            return
        session = secrets.token_urlsafe(32)
        if len(SESSIONS) >= LIMIT:
            SESSIONS.pop(next(iter(SESSIONS)))
        SESSIONS[session] = result["user"]
        self.go_to("/", "session", session)

    def cookie(self, name):
        cookies = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        return cookies[name].value if name in cookies else None

    def go_to(self, place, cookie, value):
        self.send_response(303)
        self.send_header("Location", place)
        self.send_header("Set-Cookie", f"{cookie}={value}; Path=/; HttpOnly; SameSite=Lax")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def say(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        # The address of the callback holds a one-time code.
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
