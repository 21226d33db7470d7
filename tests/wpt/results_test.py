"""What a shell prints becomes a result, however it ends."""
import json
import tempfile
import unittest
from pathlib import Path

from report import replace_part, scores, table
from results import Result, load, printable, save
from shell import collect


def lines(*records: dict) -> list[str]:
    return [f"@wpt {json.dumps(record)}\n" for record in records]


class Collecting(unittest.TestCase):
    def setUp(self):
        self.result = Result("/a/x.any.js window", "a window")

    def test_a_whole_report(self):
        done = collect(["noise\n", *lines({"name": "one", "status": "PASS"}, {"name": "two", "status": "FAIL",
                       "message": "why"}, {"done": "OK"})], self.result)
        self.assertTrue(done)
        self.assertEqual(self.result.statuses(), {"(harness)": "PASS", "one": "PASS", "two": "FAIL"})
        self.assertEqual(self.result.messages, {"two": "why"})

    def test_a_report_that_breaks_off(self):
        self.assertFalse(collect([*lines({"name": "one", "status": "PASS"}), '@wpt {"name": "tw'], self.result))
        self.assertEqual(self.result.statuses(), {"(harness)": "CRASH", "one": "PASS"})

    def test_silence(self):
        self.assertFalse(collect([], self.result))
        self.assertEqual(self.result.harness, "CRASH")

    def test_a_name_that_comes_twice_counts_twice(self):
        collect(lines({"name": "one", "status": "PASS"}, {"name": "one", "status": "FAIL"}, {"done": "OK"}), self.result)
        self.assertEqual(self.result.subtests, {"one": "PASS", "one (2)": "FAIL"})

    def test_names_are_the_same_in_every_run(self):
        self.assertEqual(printable("ws://localhost:40123/x \ud800"), "ws://localhost:PORT/x \\ud800")


class Tables(unittest.TestCase):
    def test_scores_are_of_groups(self):
        outcome = [Result("/a/x window", "a", "OK", "", {"one": "PASS", "two": "FAIL"}), Result("/a/y window", "a")]
        self.assertEqual(scores(outcome), {"a": [1, 2]})

    def test_results_survive_a_file(self):
        outcome = [Result("/a/x window", "a", "OK", "", {"ü\n": "FAIL"}, {"ü\n": "why"}, 1.5)]
        with tempfile.TemporaryDirectory() as folder:
            save(outcome, Path(folder, "x.json"))
            self.assertEqual(load(Path(folder, "x.json")), outcome)

    def test_a_part_of_a_page_is_replaced_and_the_rest_is_not(self):
        page = "before\n<!-- make wpt-report: scores -->\nold\n<!-- end -->\nafter\n"
        self.assertEqual(replace_part(page, "scores", "new"), page.replace("old", "new"))
        with self.assertRaises(ValueError):
            replace_part(page, "causes", "new")

    def test_a_table_lines_up(self):
        self.assertEqual(table(["a", "b"], [["long name", 10]]), "| a         |  b |\n|-----------|---:|\n| long name | 10 |")


if __name__ == "__main__":
    unittest.main()
