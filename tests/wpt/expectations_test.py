"""The runner can fail: whatever is not as expected is told."""
import unittest
from pathlib import Path

from expectations import UNEXPLAINED, Expectations, load
from results import HARNESS, Result
from suite import read_test

TEXT = """# A comment.

[[not-applicable]]
reason = "No HTTP/2"
tests = [
    "/a/*wpt_flags=h2* *",
]
except = [
    "/a/y.*",
]

[[deviation]]
cause = "No streams"
[deviation.tests."/a/x.any.js window"]
"reads" = "FAIL"

[[deviation]]
cause = "No document"
[deviation.tests."/a/y.any.js?wss window"]
"(harness)" = "ERROR"
"*" = "FAIL"
"""


def result(test: str, harness: str = "OK", **subtests: str) -> Result:
    return Result(test, "a window", harness, "", subtests)


def told(expectations: Expectations, outcome: Result) -> list[tuple[str, str, str]]:
    return [(surprise.subtest, surprise.expected, surprise.actual) for surprise in expectations.surprises(outcome)]


class Comparison(unittest.TestCase):
    def setUp(self):
        self.expectations = Expectations.parse(TEXT)

    def test_what_is_expected_is_not_told(self):
        self.assertEqual(told(self.expectations, result("/a/x.any.js window", reads="FAIL", writes="PASS")), [])

    def test_an_unexpected_failure_is_told(self):
        self.assertEqual(told(self.expectations, result("/a/x.any.js window", reads="FAIL", writes="TIMEOUT")),
                         [("writes", "PASS", "TIMEOUT")])

    def test_an_unexpected_pass_is_told(self):
        self.assertEqual(told(self.expectations, result("/a/x.any.js window", reads="PASS")), [("reads", "FAIL", "PASS")])

    def test_a_subtest_that_is_gone_is_told(self):
        self.assertEqual(told(self.expectations, result("/a/x.any.js window")), [("reads", "FAIL", "MISSING")])

    def test_a_crash_is_told_even_if_every_subtest_passed(self):
        self.assertEqual(told(self.expectations, result("/a/new.any.js window", "CRASH", reads="PASS")),
                         [(HARNESS, "PASS", "CRASH")])

    def test_every_subtest_may_be_expected_to_fail_but_then_must(self):
        test = "/a/y.any.js?wss window"
        self.assertEqual(told(self.expectations, result(test, "ERROR", one="FAIL", two="FAIL")), [])
        self.assertEqual(told(self.expectations, result(test, "ERROR", one="FAIL", two="PASS")), [("two", "FAIL", "PASS")])
        self.assertEqual(told(self.expectations, result(test, one="FAIL")), [(HARNESS, "ERROR", "PASS")])

    def test_expectations_are_of_one_variant_and_scope(self):
        self.assertEqual(told(self.expectations, result("/a/x.any.js worker", reads="FAIL")), [("reads", "PASS", "FAIL")])

    def test_what_is_not_applicable_has_a_reason(self):
        h2 = "// META: variant=?wpt_flags=h2"
        self.assertEqual([self.expectations.reason_not_to_run(next(read_test(path, text))) for path, text in (
            ("/a/x.any.js", h2), ("/a/y.any.js", h2), ("/a/x.any.js", ""))], ["No HTTP/2", None, None])


class Update(unittest.TestCase):
    def setUp(self):
        self.expectations = Expectations.parse(TEXT)

    def test_the_file_is_written_as_it_was_read(self):
        self.assertEqual(str(self.expectations), TEXT)

    def test_after_an_update_nothing_is_unexpected(self):
        outcome = [result("/a/x.any.js window", reads="FAIL", writes="NOTRUN"), result("/a/y.any.js?wss window", one="PASS")]
        updated = Expectations.parse(str(self.expectations.updated(outcome)))
        self.assertEqual([told(updated, each) for each in outcome], [[], []])

    def test_causes_stay_and_news_are_unexplained(self):
        updated = self.expectations.updated([result("/a/x.any.js window", reads="TIMEOUT", writes="FAIL")])
        self.assertEqual(updated.cause("/a/x.any.js window", "reads"), "No streams")
        self.assertEqual(updated.cause("/a/x.any.js window", "writes"), UNEXPLAINED)

    def test_tests_that_were_not_run_stay(self):
        self.assertEqual(str(self.expectations.updated([])), TEXT)

    def test_a_cause_without_failures_goes(self):
        self.assertNotIn("No streams", str(self.expectations.updated([result("/a/x.any.js window", reads="PASS")])))

    def test_any_name_survives(self):
        names = ['"quoted" \\ \n\t\x00\x7f', "ü 😀", "[x] = #", ""]
        outcome = [Result("/a/n.any.js window", "a", "OK", "", dict.fromkeys(names, "FAIL"))]
        self.assertEqual(told(Expectations.parse(str(self.expectations.updated(outcome))), outcome[0]), [])


class Repository(unittest.TestCase):
    FILE = Path(__file__).with_name("expectations.toml")

    def test_the_file_is_in_the_form_that_update_writes(self):
        self.assertEqual(str(load(self.FILE)), self.FILE.read_text("utf-8"))

    def test_everything_has_a_cause(self):
        self.assertNotIn(UNEXPLAINED, [deviation.cause for deviation in load(self.FILE).deviations])


if __name__ == "__main__":
    unittest.main()
