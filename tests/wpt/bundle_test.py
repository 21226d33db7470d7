"""What a test becomes before a shell gets it."""
import json
import unittest
from urllib.error import HTTPError

from bundle import Bundler, named_files, page_url
from suite import read_test

PORTS = {"http": 8000, "https": 8443, "h2": 9000, "ws": 8001, "wss": 8002}
FILES = {
    "/resources/testharness.js": "HARNESS",
    "/resources/WebIDLParser.js": "PARSER",
    "/interfaces/dom.idl": "interface Node {};",
    "/a/helper.js": "HELPER",
}


def bundler(**files: str) -> Bundler:
    texts = FILES | {f"/a/{name.replace('_', '.')}": text for name, text in files.items()}

    def read(path: str) -> str:
        if path not in texts:
            raise HTTPError(path, 404, "not found", None, None)
        return texts[path]
    return Bundler({"host": "localhost", "ports": PORTS}, read)


def code(test, **files: str) -> str:
    text = bundler(**files).bundle(test, 10)
    return json.loads(text.removeprefix("(0, eval)(").removesuffix(");\n"))


class Address(unittest.TestCase):
    def test_a_page_is_where_wpt_serve_would_put_it(self):
        for path, text, address in (
            ("/a/x.any.js", "", "http://localhost:8000/a/x.any.html"),
            ("/a/x.any.js", "// META: variant=?wss", "http://localhost:8000/a/x.any.html?wss"),
            ("/a/x.any.js", "// META: variant=?wpt_flags=h2", "https://localhost:9000/a/x.any.html?wpt_flags=h2"),
            ("/a/x.https.window.js", "", "https://localhost:8443/a/x.https.window.html"),
            ("/a/x.html", "testharness.js", "http://localhost:8000/a/x.html"),
        ):
            self.assertEqual(page_url(next(read_test(path, text)), "localhost", PORTS), address)

    def test_a_worker_is_its_script(self):
        *_, test = read_test("/a/x.any.js", "")
        self.assertEqual(page_url(test, "localhost", PORTS), "http://localhost:8000/a/x.any.worker.js")


class Bundle(unittest.TestCase):
    def test_scripts_stand_in_the_order_of_a_page(self):
        test = next(read_test("/a/x.any.js", "// META: script=helper.js\nTEST"))
        text = code(test, x_any_js="TEST")
        places = [text.index(part) for part in ("globalThis.WPT", "HARNESS", "add_completion_callback", "HELPER", "TEST")]
        self.assertEqual(places, sorted(places))

    def test_a_test_may_ask_for_its_title(self):
        test = next(read_test("/a/x.window.js", "// META: title=A 'title'"))
        self.assertIn("test(f, \"A 'title'\" + 1)", code(test, x_window_js="test(f, document.title + 1)"))

    def test_a_worker_says_that_it_is_done(self):
        window, worker = read_test("/a/x.any.js", "TEST")
        self.assertIn("\ndone();", code(worker, **{"x_any_js": "TEST"}))
        self.assertNotIn("\ndone();", code(window, **{"x_any_js": "TEST"}))

    def test_imports_of_a_worker_are_laid_in(self):
        test = next(read_test("/a/x.worker.js", ""))
        text = code(test, x_worker_js="importScripts('/resources/testharness.js');\nimportScripts(\"helper.js\", 'more.js')\nTEST", more_js="MORE")
        self.assertNotIn("importScripts", text.split("HARNESS")[1])
        self.assertIn("HELPER", text)
        self.assertIn("MORE", text)

    def test_imports_that_are_tested_stay(self):
        test = next(read_test("/a/x.worker.js", ""))
        text = code(test, x_worker_js="importScripts('/resources/testharness.js');\ntest(() => {\n  importScripts('//no url');\n});")
        self.assertIn("importScripts('//no url')", text)

    def test_a_missing_script_does_not_stop_a_test(self):
        test = next(read_test("/a/x.any.js", "// META: script=/none.js"))
        self.assertIn("/none.js is missing", code(test, x_any_js="TEST"))

    def test_files_that_a_test_fetches_come_with_it(self):
        text = "idl_test(['dom'], ['unheard-of']); fetch('data.json')"
        self.assertEqual(named_files("/a/x.any.js", text),
                         ["/a/data.json", "/interfaces/dom.idl", "/interfaces/unheard-of.idl"])
        test = next(read_test("/a/x.any.js", text))
        self.assertIn(json.dumps({"/interfaces/dom.idl": FILES["/interfaces/dom.idl"]}), code(test, x_any_js=text))


if __name__ == "__main__":
    unittest.main()
