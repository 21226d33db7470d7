"""Nothing but what is demanded may pass."""
import unittest

from verdicts import Verdict, expected, summary, surprises


class Expected(unittest.TestCase):
    def test_everything_but_what_the_suite_leaves_open_must_be_ok(self):
        for case, behavior in {"1.1.1": "OK", "6.4.1": "OK", "7.1.6": "INFORMATIONAL", "7.13.2": "INFORMATIONAL",
                               "13.2.1": "OK", "13.6.18": "OK"}.items():
            self.assertEqual(expected(case, browser_like=False), behavior, case)

    def test_scripts_lack_the_parameters_that_browsers_do_not_offer(self):
        cases = [f"13.{section}.{case}" for section in range(1, 8) for case in range(1, 19)]
        lacking = [case for case in cases if expected(case, browser_like=True) == "UNIMPLEMENTED"]
        self.assertEqual(len(lacking), 54)
        self.assertEqual(expected("12.2.1", browser_like=True), "OK")


class Surprises(unittest.TestCase):
    def test_what_is_demanded_is_none(self):
        verdicts = [Verdict("1.1.1", "OK"), Verdict("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
                    Verdict("13.2.1", "UNIMPLEMENTED")]
        cases = [verdict.case for verdict in verdicts]
        self.assertEqual(surprises(cases, verdicts, browser_like=True), [])

    def test_anything_else_is_one(self):
        for verdict in [Verdict("6.4.1", "NON-STRICT"), Verdict("1.1.1", "FAILED"), Verdict("1.1.1", "ERROR"),
                        Verdict("1.1.1", "INFORMATIONAL"), Verdict("1.1.1", "OK", "WRONG CODE"),
                        Verdict("1.1.1", "OK", "UNCLEAN"), Verdict("7.1.6", "FAILED"),
                        Verdict("7.1.6", "INFORMATIONAL", "UNCLEAN"), Verdict("13.2.1", "UNIMPLEMENTED")]:
            self.assertEqual(surprises([verdict.case], [verdict], browser_like=False), [str(verdict)])
        # What must not be negotiated was.
        verdict = Verdict("13.2.1", "OK")
        self.assertEqual(surprises(["13.2.1"], [verdict], browser_like=True), [str(verdict)])

    def test_a_case_that_did_not_run_is_one(self):
        found = surprises(["1.1.1", "1.1.2"], [Verdict("1.1.2", "OK")], browser_like=False)
        self.assertEqual(found, ["1.1.1: not run"])


class Summary(unittest.TestCase):
    def test_it_counts(self):
        verdicts = [Verdict("1.1.1", "OK"), Verdict("1.1.2", "FAILED"), Verdict("1.1.3", "OK")]
        self.assertEqual(summary(verdicts), "2 OK, 1 FAILED")
        self.assertEqual(summary([]), "no case has ended")


if __name__ == "__main__":
    unittest.main()
