"""Which tests are found, and what they are called."""
import tempfile
import unittest
from pathlib import Path

from suite import Script, discover, markup_header, matches, read_test


class Scripts(unittest.TestCase):
    def test_a_test_for_any_scope_has_a_row_in_each(self):
        tests = list(read_test("/a/x.any.js", "test(() => {});"))
        self.assertEqual([str(test) for test in tests], ["/a/x.any.js window", "/a/x.any.js worker"])

    def test_variants_multiply(self):
        text = "// META: variant=?default\n// META: variant=?wss&x\n// META: global=window\n"
        tests = list(read_test("/a/x.any.js", text))
        self.assertEqual([str(test) for test in tests], ["/a/x.any.js?default window", "/a/x.any.js?wss&x window"])
        self.assertEqual([test.transport for test in tests], ["ws", "wss"])

    def test_globals_limit_the_scopes(self):
        for globals_, scopes in {"window": ["window"], "worker": ["worker"], "dedicatedworker,window": ["window", "worker"],
                                 "serviceworker": [], "shadowrealm": [], "window, worker": ["window", "worker"]}.items():
            tests = read_test("/a/x.any.js", f"// META: global={globals_}\n")
            self.assertEqual([test.scope for test in tests], scopes, globals_)

    def test_the_file_name_limits_the_scopes(self):
        for name, scopes in {"x.window.js": ["window"], "x.worker.js": ["worker"], "x.js": [], "x.any.js.headers": []}.items():
            self.assertEqual([test.scope for test in read_test(f"/a/{name}", "")], scopes, name)

    def test_the_rest_of_the_header(self):
        text = "// META: title=A title\n//META: script=/common/a.js\n// META: script=b.js\n// META: timeout=long\n"
        test = next(read_test("/a/x.any.js", text))
        self.assertEqual((test.title, test.long), ("A title", True))
        self.assertEqual(test.scripts, (Script(path="/common/a.js"), Script(path="b.js")))

    def test_http2_and_https_are_in_the_variant_or_the_name(self):
        transport = [(test.transport, test.scheme) for test in (
            next(read_test("/a/x.window.js", "// META: variant=?wpt_flags=h2")),
            next(read_test("/a/x.window.js", "// META: variant=?wss&wpt_flags=https")),
            next(read_test("/a/x.https.window.js", "")))]
        self.assertEqual(transport, [("h2", "https"), ("wss", "https"), ("ws", "https")])


class Markup(unittest.TestCase):
    PAGE = """<!doctype html><title>Send &amp; close</title>
        <meta name=variant content="?wss"><meta name="timeout" content="long">
        <script src=/resources/testharness.js></script><SCRIPT>test(() => "</b>" < 1);</SCRIPT>"""

    def test_a_page_is_taken_apart(self):
        header = markup_header(self.PAGE)
        self.assertEqual((header.title, header.variants, header.long), ("Send & close", ["?wss"], True))
        self.assertEqual(header.scripts, [Script(path="/resources/testharness.js"), Script(text='test(() => "</b>" < 1);')])

    def test_a_page_runs_in_the_window_scope_only(self):
        self.assertEqual([str(test) for test in read_test("/a/x.html", self.PAGE)], ["/a/x.html?wss window"])

    def test_a_page_without_the_harness_is_no_test(self):
        self.assertEqual(list(read_test("/a/x.html", "<script>1</script>")), [])


class Names(unittest.TestCase):
    def test_patterns_take_question_marks_and_brackets_for_themselves(self):
        self.assertTrue(matches("/a/x.any.js?wss window", "/a/*.any.js?wss *"))
        self.assertFalse(matches("/a/x.any.js.wss window", "/a/*.any.js?wss *"))
        self.assertTrue(matches("/a/[x].html window", "/a/[x].html *"))
        self.assertTrue(matches("/a/b/c.html window", "/a/*.html *"))

    def test_each_row_of_a_report_has_its_own_name(self):
        groups = [next(read_test(path, text)).group for path, text in (
            ("/websockets/x.any.js", ""), ("/websockets/x.any.js", "// META: variant=?wss"),
            ("/websockets/stream/x.any.js", ""), ("/websockets/x.html", "testharness.js"),
            ("/html/webappapis/timers/x.any.js", ""), ("/other/x.any.js", ""))]
        self.assertEqual(groups, ["websockets ws window", "websockets wss window", "websockets/stream ws window",
                                  "websockets html ws window", "html/webappapis window", "other window"])


class Checkout(unittest.TestCase):
    def test_files_come_in_order_and_resources_are_none(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a/b.any.js", "a/a.window.js", "a/resources/c.any.js", "a/d.txt", "z/e.any.js"):
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"// \xff")
            found = [test.path for test in discover(Path(folder), ["a"], ("window",))]
        self.assertEqual(found, ["/a/a.window.js", "/a/b.any.js"])


if __name__ == "__main__":
    unittest.main()
