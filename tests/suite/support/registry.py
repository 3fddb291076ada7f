#!/usr/bin/env python3
"""A registry that images can only be pulled from, by the HTTP API of the OCI distribution specification.

    registry.py PORT LAYOUT      LAYOUT: an OCI image layout; an image is named by its tag, `zoo:1` is NAME zoo, reference 1

It says `ready` when it answers.
"""
import http.server, json, os, sys, urllib.parse

port, layout = int(sys.argv[1]), sys.argv[2]
tags = {}
with open(os.path.join(layout, "index.json")) as index:
    for manifest in json.load(index)["manifests"]:
        name = manifest["annotations"]["io.containerd.image.name"].rsplit("/", 1)[-1]
        tags[tuple(name.split(":"))] = manifest["digest"]


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def parse_request(self):
        if self.raw_requestline[:1] == b"\x16":
            # TLS is tried first; by this answer a client knows that it is not spoken here.
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
            return False
        return super().parse_request()

    def answer(self, with_body):
        parts = urllib.parse.urlparse(self.path).path.strip("/").split("/")
        kind, body = "application/json", b"{}"
        if len(parts) == 4:
            _, name, what, reference = parts
            digest = reference if ":" in reference else tags.get((name, reference))
            path = os.path.join(layout, "blobs", *(digest or "none").split(":"))
            if not os.path.isfile(path):
                return self.send_error(404)
            with open(path, "rb") as blob:
                body = blob.read()
            kind = json.loads(body)["mediaType"] if what == "manifests" else "application/octet-stream"
            self.digest = digest
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if len(parts) == 4:
            self.send_header("Docker-Content-Digest", self.digest)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Registry)
print("ready", flush=True)
server.serve_forever()
