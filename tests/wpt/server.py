"""WPT's server on loopback: HTTP, HTTPS, WS and WSS, each on a free port.

    python server.py WPT_DIR HOST FOLDER

The folder takes the certificates, and the bundles that are served in the place of the workers they are made from.

Prints one line of JSON, {"host", "ports", "ca"}, when it is ready, and runs until its standard input ends.
Needs wptserve, pywebsocket3, and the command `openssl`.
"""
from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

from bundle import bundle_name
from environment import SUBDOMAINS, hosts

DAYS = "7"
REWRITES = [("GET", "/resources/WebIDLParser.js", "/resources/webidl2/lib/webidl2.js")]     # as `wpt serve` has them


def make_certificates(folder: Path, names: list[str]) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of it for the names. Returns the authority, the certificate, its key.

    Each name is spelled out: a wildcard directly under `localhost` is refused by strict verifiers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, cert, key, request, extensions = (
        folder / name for name in ("ca.pem", "ca.key", "cert.pem", "key.pem", "request", "extensions"))
    alternatives = ",".join(f"DNS:{name}" for name in names) + ",IP:127.0.0.1"
    extensions.write_text(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for arguments in (
        ["req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", DAYS, "-subj", "/CN=WPT authority"],
        ["req", *curve, "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}"],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", cert,
         "-days", DAYS, "-extfile", extensions],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    return ca, cert, key


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def serve_websockets(wpt: Path, port: int, tls: ssl.SSLContext | None) -> None:
    """pywebsocket3 with the handlers of the checkout."""
    from pywebsocket3 import standalone
    from pywebsocket3.websocket_server import WebSocketServer

    handlers = wpt / "websockets" / "handlers"
    options, _ = standalone._parse_args_and_config(
        ["-H", "127.0.0.1", "-p", str(port), "-d", str(wpt), "-w", str(handlers)])
    options.cgi_directories, options.is_executable_method = [], None
    options.scan_dir = options.websock_handlers
    server = WebSocketServer(options)
    if tls:         # the handshake belongs to the connection's own thread
        server._sockets = [(tls.wrap_socket(listener, server_side=True, do_handshake_on_connect=False), address)
                           for listener, address in server._sockets]
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve(wpt: Path, host: str, folder: Path) -> None:
    """Starts all servers and returns when standard input has ended."""
    from wptserve import handlers, routes, server, stash
    from wptserve.config import ConfigBuilder

    def worker(request, response):
        file = folder / bundle_name(request.request_path)
        if file.exists():
            response.headers.set("Content-Type", "text/javascript")
            response.content = file.read_text()
        else:
            handlers.file_handler(request, response)

    class Server(server.WebTestServer):
        """Ends a TLS connection as the standard says. WPT's own drops it, which by RFC 9112, section 9.8, leaves an answer
        without a length incomplete."""

        def shutdown_request(self, request):
            if isinstance(request, ssl.SSLSocket):
                with suppress(OSError, ValueError):
                    request.settimeout(1)
                    request.unwrap()
            super().shutdown_request(request)

    names = hosts(host)
    ca, cert, key = make_certificates(folder / "certificates", names)
    ports = {scheme: [free_port(), free_port()] for scheme in ("http", "https")}
    ports |= {scheme: [free_port()] for scheme in ("h2", "ws", "wss")}
    builder = ConfigBuilder(
        logging.getLogger(), subdomains=set(SUBDOMAINS), not_subdomains={"nonexistent"}, browser_host=host,
        alternate_hosts={"alt": names[len(names) // 2]}, server_host="127.0.0.1", doc_root=str(wpt), ports=ports,
        check_subdomains=False,
        ssl={"type": "pregenerated", "encrypt_after_connect": False, "openssl": {}, "none": {},
             "pregenerated": {"host_key_path": str(key), "host_cert_path": str(cert)}})
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with builder as config, stash.StashServer():
        for scheme in ("http", "https"):
            for port in ports[scheme]:
                server.WebTestHttpd(
                    host="127.0.0.1", port=port, doc_root=str(wpt), ws_doc_root=str(wpt / "websockets" / "handlers"),
                    routes=[("GET", "*.worker.js", worker), *routes.routes], rewrites=REWRITES, config=config,
                    server_cls=Server, use_ssl=scheme == "https", key_file=str(key),
                    certificate=str(cert), handler_cls=server.Http1WebTestRequestHandler).start()
        serve_websockets(wpt, ports["ws"][0], None)
        serve_websockets(wpt, ports["wss"][0], tls)
        first = {scheme: numbers[0] for scheme, numbers in ports.items()}
        print(json.dumps({"host": host, "ports": first, "ca": str(ca)}), flush=True)
        sys.stdin.read()


@contextmanager
def running(wpt: Path, host: str, folder: Path, log: Path | None) -> Iterator[dict]:
    """The server in a process of its own; gives what it printed."""
    with open(log, "w") if log else open("/dev/null", "w") as stderr:
        process = subprocess.Popen([sys.executable, __file__, wpt, host, folder],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            line = process.stdout.readline()
            if not line:
                sys.exit("WPT's server did not start; --server-log FILE shows why")
            yield json.loads(line)
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    serve(Path(sys.argv[1]).resolve(), sys.argv[2], Path(sys.argv[3]))
