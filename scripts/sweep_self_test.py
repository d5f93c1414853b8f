"""What scripts/sweep promises, tested with a corpus, a scorer and a binary that are a few lines each: scripts/sweep --self-test"""
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import tomllib
import time
import unittest
from pathlib import Path
from unittest import mock

sweep = None        # the module under test, set by run()

COMPOSE = """
import json, pathlib, sys
scene, out = json.load(open(sys.argv[1])), pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
mode = pathlib.Path(__file__).with_name('mode')
if mode.exists() and mode.read_text() == 'full':
    sys.exit('OSError: 1000 requested and 10 written')
count = sum(e['count'] for e in scene['emitters'])
(out / (scene['name'] + '.sigmf-data')).write_bytes(bytes(4 * int(scene['duration_s'] * scene['sample_rate'])))
info = {'core:datatype': 'ci16_le', 'core:sample_rate': scene['sample_rate'], 'truth:scene': scene}
for name, notes in ('.truth', count), ('', 0):
    (out / (scene['name'] + name + '.sigmf-meta')).write_text(json.dumps({'global': info, 'annotations': [{}] * notes}))
"""
# Finds what the binary says it found; names all but one of them right.
SCORE = """
import json, sys
truth = len(json.load(open(sys.argv[1]))['annotations'])
lines = [json.loads(line) for line in open(sys.argv[sys.argv.index('--reported') + 1])]
found = min(truth, sum(line['type'] == 'burst' for line in lines))
false = sum(line['type'] == 'burst' for line in lines) - found
row = {'label': 'lte/prach', 'snr_db': 0, 'truth': truth, 'found': found, 'right_kind': found - 1, 'other_standard': 0}
print(json.dumps({'contract': [], 'hits': {'hits': 0, 'false': 0}, 'bursts': {'pd': [row] if truth else [], 'false_bursts': false,
    'false_unproven': 0, 'false_by_kind': {'lte/prach': false} if false else {}, 'start_error_s': {'abs95': 5e-6, 'median': 1e-6}}}))
"""
BINARY = """#!{python}
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(__file__).parent
mode = (folder / 'mode').read_text() if (folder / 'mode').exists() else 'good'
if sys.argv[1] == '--version':
    sys.exit(101 if mode == 'broken' else print('cellwarden 0'))
if sys.argv[1] == 'simulate':
    scene, out = open(sys.argv[2]).read(), pathlib.Path(sys.argv[4])
    assert '$' not in scene
    out.mkdir()
    (out / 'a.sigmf-data').write_bytes(bytes(400))
    info = {{'core:datatype': 'ci8', 'core:sample_rate': 1000.0}}
    (out / 'a.sigmf-meta').write_text(json.dumps({{'global': info, 'annotations': [{{}}] * 50}}))
    sys.exit()
with open(folder / 'replays', 'a') as log:
    print(os.getpid(), file=log)
meta = json.load(open(sys.argv[-1]))
assert not meta['annotations'], 'it was shown the truth'
data = pathlib.Path(sys.argv[-1].replace('-meta', '-data'))
samples = data.stat().st_size // {{'ci16_le': 4, 'ci8': 2}}[meta['global']['core:datatype']]
if mode == 'crash':
    sys.exit('thread main panicked at the disco')
if mode == 'signal':
    os.kill(os.getpid(), signal.SIGSEGV)
if mode == 'hang':
    time.sleep(60)
found = int((folder / 'found').read_text()) if (folder / 'found').exists() else 10 ** 6
emitters = meta['global'].get('truth:scene', {{}}).get('emitters', [{{'count': 50}}])
for _ in range(min(found, sum(e['count'] for e in emitters)) if emitters else found % 10 ** 6):
    print('{{"type": "burst"}}')
if mode != 'short':
    print(json.dumps({{'type': 'summary', 'software': 'cellwarden 0', 'samples': samples - (mode == 'lost'), 'lost_samples': 0}}))
"""
TEMPLATE = {"sample_rate": 1000.0, "centre_hz": 847e6, "duration_s": 4.1, "emitters": [
    {"kind": "isolated", "select": {"standard": "lte", "kind": "prach"}, "count": 1000, "snr_db": "$snr"}]}


class Figures(unittest.TestCase):
    def test_wilson_gives_the_known_intervals(self):
        for found, trials, low, high in ((0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0),
                                         (999, 1002, 0.9912, 0.9990), (990, 1000, 0.9817, 0.9946), (0, 0, 0.0, 1.0)):
            got = sweep.wilson(found, trials)
            self.assertAlmostEqual(got[0], low, 4)
            self.assertAlmostEqual(got[1], high, 4)

    def test_poisson_bounds_are_the_known_ones(self):
        for count, upper in ((0, 2.9957), (1, 4.7439), (2, 6.2958), (10, 16.9622), (100, 118.079)):
            self.assertAlmostEqual(sweep.poisson_upper(count), upper, 3)
        self.assertAlmostEqual(sweep.poisson_upper(101), 119.16, 1)     # where the approximation takes over

    def test_a_target_takes_991_of_1000(self):
        row = {"target": (-5.0, 0.99, 0.982), "named": None, "start": None}

        def verdict(found, trials):
            low, high = sweep.wilson(found, trials)
            point = {"snr_db": -5.0, "trials": trials, "pd": found / trials, "pd_low": low, "pd_high": high}
            return sweep.judge_pd(row, [point])[0]["verdict"]
        self.assertEqual([verdict(990, 1000), verdict(991, 1000), verdict(100, 100), verdict(90, 100)],
                         ["FAIL", "pass", "not shown", "FAIL"])
        self.assertEqual(sweep.judge_pd(row, [])[0]["verdict"], "not measured")

    def test_edges_are_judged_like_names(self):
        row = {"target": None, "named": None, "start": None, "edges": (3.0, 0.95)}

        def verdict(within, of, trials, snr=3.0):
            point = {"snr_db": snr, "trials": trials, "edges_of": of, "edges_within": within / of if of else None}
            return sweep.judge_pd(row, [point])[0]["verdict"]
        self.assertEqual([verdict(950, 1000, 1000), verdict(949, 1000, 1000), verdict(100, 100, 100), verdict(80, 100, 100),
                          verdict(0, 0, 1000), verdict(950, 1000, 1000, 6.0)],
                         ["pass", "FAIL", "not shown", "FAIL", "not measured", "not measured"])

    def test_edges_within_a_block_of_the_truth_are_right(self):
        def note(start, low, high, snr=3.0, label="lte/pusch"):
            return {"core:sample_start": start, "core:sample_count": 1000, "core:freq_lower_edge": low, "core:freq_upper_edge": high,
                    "core:label": label, "truth:snr_db": snr}

        def burst(start, low, high, standard="lte", count=1000):
            return {"type": "burst", "sensor": "a", "standard": standard, "sample_start": start, "sample_count": count,
                    "freq_lower_hz": low, "freq_upper_hz": high}
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        notes = [note(0, 0, 720e3), note(2000, 0, 720e3), note(4000, 0, 720e3), note(6000, 0, 720e3), note(8000, 0, 720e3),
                 note(10000, 0, 720e3, snr=8.0), note(12000, 0, 720e3, label="lte/srs"), note(14000, 0, 720e3)]
        # Right; one edge off; half as long; not found at all; GSM's; another SNR; another kind; two, of which one is right.
        bursts = [burst(10, 179e3, 721e3), burst(2000, -181e3, 720e3, "unknown"), burst(4000, 0, 720e3, count=500),
                  burst(6000, 900e3, 1e6), burst(8000, 0, 720e3, "gsm"), burst(10000, 0, 720e3), burst(12000, 0, 720e3),
                  burst(14000, 0, 540e3), burst(14000, 20e3, 720e3)]
        truth, reported = folder / "a.truth.sigmf-meta", folder / "reported"
        truth.write_text(json.dumps({"global": {"core:sample_rate": 1e6}, "annotations": notes}))
        reported.write_text("".join(json.dumps(b) + "\n" for b in [*bursts, {"type": "summary"}]))
        self.assertEqual(sweep.edges_within([truth], reported, "lte/pusch", 3.0), (4, 3))

    def test_noise_is_judged_by_its_bound(self):
        row = next(r for r in sweep.ROWS if r["name"] == "noise-lte")

        def verdicts(kinds, hours):
            return [v["verdict"] for v in sweep.false_report(row, [{"seconds": hours * 3600, "hits": 0, "false_by_kind": kinds}])["verdicts"]]
        self.assertEqual(verdicts({}, 0.1), ["not shown", "not shown"])
        self.assertEqual(verdicts({}, 4), ["pass", "pass"])
        self.assertEqual(verdicts({"lte/prach": 9, "unknown/unknown": 500}, 4), ["FAIL", "pass"])
        self.assertEqual(verdicts({"lte/pusch": 70}, 4), ["pass", "FAIL"])

    def test_snr_lists_and_ranges(self):
        self.assertEqual(sweep.snr_points("-9:0:3,4,-0"), [-9, -6, -3, 0, 4])
        self.assertEqual(sweep.snr_points("1.5"), [1.5])
        for wrong in ("", "a", "0:-3:1", "0:3:0", "1:2", "0:1e9:1", "nan", "inf"):
            with self.assertRaises(sweep.Trouble, msg=wrong):
                sweep.snr_points(wrong)

    def test_the_table_of_rows_holds_together(self):
        self.assertEqual(len({r["name"] for r in sweep.ROWS}), len(sweep.ROWS))
        docs = (sweep.ROOT / "docs/detection.md").read_text()
        for row in sweep.ROWS:
            self.assertIn(row["group"], sweep.GROUPS)
            self.assertIn(row["judge"], sweep.JUDGES)
            self.assertNotIn(row["name"], sweep.GROUPS.keys() - {row["group"]})
            if row["group"] != "fa":
                self.assertIn(f"`{row['name']}`", docs, f"{row['name']} does not stand in docs/detection.md")
            if row["kind"] == "pd":
                points = sweep.row_points(row)
                for want in (row["target"], row["named"], row["start"], row["edges"]):
                    self.assertTrue(not want or want[0] in points, f"{row['name']} does not measure at {want}")


class Runs(unittest.TestCase):
    """The whole way, in a folder of its own."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.shared, self.out = self.folder / "shared", self.folder / "out"
        for path, text in (("corpus/compose.py", COMPOSE), ("score/score.py", SCORE), ("corpus/waveforms/gsm/meta.json", "[]"),
                           ("corpus/waveforms/lte/meta.json", "{}"),
                           ("corpus/scenes/pd_lte_prach.template.json", json.dumps(TEMPLATE)),
                           ("corpus/scenes/fa_cw.json", json.dumps({**TEMPLATE, "emitters": []}))):
            (self.shared / path).parent.mkdir(parents=True, exist_ok=True)
            (self.shared / path).write_text(text)
        self.binary = self.folder / "cellwarden"
        self.binary.write_text(BINARY.format(python=sys.executable))
        self.binary.chmod(0o755)
        self.enterContext(mock.patch.dict(os.environ, {"SHARED": str(self.shared)}))
        self.enterContext(mock.patch.object(sweep, "composing_python", lambda: sys.executable))

    def sweep(self, *words, binary=None):
        """(status, standard output, standard error)."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = sweep.main([*words, "--out", str(self.out), *(["--binary", str(binary or self.binary)] if binary != "" else [])])
        return status, out.getvalue(), err.getvalue()

    def mode(self, mode):
        (self.folder / "mode").write_text(mode)

    def replays(self):
        log = self.folder / "replays"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def lines(self):
        path = self.out / "results.jsonl"
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []

    def test_parts_that_are_there_are_not_done_again(self):
        words = ("prach-f0", "--snr", "-6:0:3", "--trials", "100")
        self.assertEqual(self.sweep(*words)[0], 0)
        self.assertEqual((self.replays(), len(self.lines())), (3, 3))
        status, out, _ = self.sweep(*words, "--json")
        self.assertEqual((status, self.replays()), (0, 3))
        points = json.loads(out)["rows"][0]["points"]
        self.assertEqual([(p["snr_db"], p["found"], p["truth"], p["named"]) for p in points],
                         [(snr, 100, 100, 0.99) for snr in (-6, -3, 0)])
        self.assertFalse((self.out / "scratch").exists())
        # Another seed, other trials, another binary: others' results do not count.
        self.sweep(*words, "--seed", "8")
        self.sweep("prach-f0", "--snr", "-6:0:3", "--trials", "101")
        self.assertEqual(self.replays(), 9)
        other = self.folder / "newer"
        other.write_text(self.binary.read_text() + "\n")
        other.chmod(0o755)
        self.sweep(*words, binary=other)
        self.assertEqual(self.replays(), 12)
        # Nor do those of another corpus.
        (self.shared / "corpus/compose.py").write_text(COMPOSE + "\n")
        self.sweep(*words)
        self.assertEqual(self.replays(), 15)

    def test_a_line_that_was_cut_off_is_measured_again(self):
        words = ("prach-f0", "--snr", "-6:0:3", "--trials", "100")
        self.sweep(*words)
        whole = self.lines()
        path = self.out / "results.jsonl"
        for torn in (b"".join(whole)[:-1], b"".join(whole[:2]) + whole[2][:40], whole[0] + b"\0\0\0\n" + whole[2]):
            path.write_bytes(torn)
            before = self.replays()
            status, out, err = self.sweep(*words)
            self.assertEqual((status, self.replays() - before), (0, 1), torn)
            self.assertIn("1 damaged line left out", err)
            self.assertEqual(out.count("100    100"), 3)
            for line in self.lines():
                self.assertTrue(line.endswith(b"\n"))
            self.assertEqual(sorted(json.loads(line)["snr_db"] for line in self.lines() if b"\0" not in line), [-6, -3, 0])

    def test_a_killed_sweep_goes_on_and_leaves_nothing(self):
        words = ("prach-f0", "--snr", "-6:0:3", "--trials", "100")
        self.sweep("prach-f0", "--snr", "-6", "--trials", "100")
        self.mode("hang")
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                self.sweep(*words)
            os._exit(0)
        ends = time.monotonic() + 20
        while self.replays() < 2 and time.monotonic() < ends:
            time.sleep(0.02)
        status, _, err = self.sweep(*words)
        self.assertEqual(status, 2)
        self.assertIn("another sweep works in", err)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.assertTrue((self.out / "scratch").exists())
        replay = int((self.folder / "replays").read_text().split()[-1])
        while Path(f"/proc/{replay}").exists() and time.monotonic() < ends:
            if "Z" in Path(f"/proc/{replay}/stat").read_text().rpartition(")")[2].split()[:1]:
                break
            time.sleep(0.02)
        else:
            self.assertLess(time.monotonic(), ends, "the killed sweep's replay runs on")
        self.mode("good")
        self.assertEqual(self.sweep(*words)[0], 0)
        self.assertEqual(len(self.lines()), 3)
        self.assertFalse((self.out / "scratch").exists())

    def test_a_replay_that_fails_is_none_that_found_nothing(self):
        for mode, word in (("crash", "panicked at the disco"), ("signal", "SIGSEGV"), ("short", "not its summary"), ("lost", "samples and lost")):
            self.mode(mode)
            status, out, err = self.sweep("prach-f0", "--snr", "-6,0", "--trials", "100")
            self.assertEqual((status, self.lines()), (2, []), mode)
            self.assertIn(word, err)
            self.assertNotIn("0.0000", out)
            self.assertEqual({p.name for p in next((self.out / "failed").iterdir()).iterdir()}, {"log", "scene.json", "seed"})
        status, _, err = self.sweep("prach-f0", "--snr", "-6:0:1", "--trials", "100")
        self.assertEqual(status, 2)
        self.assertIn("three parts in a row", err)
        self.mode("good")
        (self.folder / "found").write_text("0")
        status, out, _ = self.sweep("prach-f0", "--snr", "0", "--trials", "100")
        self.assertEqual(status, 0)
        self.assertIn("0    100  0.0000", out)

    def test_check_asks_for_what_is_shown(self):
        words = ("prach-f0", "--snr", "-5", "--check")
        status, out, _ = self.sweep(*words, "--trials", "1000")
        self.assertEqual(status, 0, out)
        self.assertEqual(self.sweep(*words, "--trials", "100")[0], 1)
        self.assertEqual(self.sweep("prach-f0", "--snr", "-4", "--check", "--trials", "1000")[0], 1)
        (self.folder / "found").write_text("980")
        self.binary.write_text(self.binary.read_text() + "\n")
        status, out, _ = self.sweep(*words, "--trials", "1000")
        self.assertEqual(status, 1)
        self.assertIn("FAIL (0.9800", out)
        self.assertEqual(self.sweep("prach-f0", "--report", "--check", binary="")[0], 1)

    def test_many_trials_are_several_recordings(self):
        _, out, _ = self.sweep("prach-f0", "--snr", "0", "--trials", "2500", "--json")
        parts = [json.loads(line) for line in self.lines()]
        self.assertEqual([p["size"] for p in parts], [1000, 1000, 500])
        self.assertEqual(len({p["recording_seed"] for p in parts}), 3)
        self.assertEqual(json.loads(out)["rows"][0]["points"][0]["truth"], 2500)

    def test_the_report_needs_the_results_alone(self):
        status, _, err = self.sweep("--report", binary="")
        self.assertEqual(status, 2)
        self.assertIn("has no results", err)
        self.sweep("prach-f0", "fa-cw", "--snr", "0,3", "--trials", "100", "--minutes", "0.5")
        shutil.rmtree(self.shared)
        status, out, _ = self.sweep("--report", binary="")
        self.assertEqual(status, 0)
        self.assertEqual(out.count("100    100"), 2)
        self.assertIn("at most one in 10 s: pass (0 in 30 s", out)
        self.binary.unlink()
        self.assertEqual(self.sweep("prach-f0", "--report", binary="")[0], 0)

    def test_false_bursts_are_counted_by_standard(self):
        (self.folder / "found").write_text("4")
        status, out, _ = self.sweep("fa-cw", "--json", "--check")
        row = json.loads(out)["rows"][0]
        self.assertEqual((status, row["rates"]["lte"]["count"], row["kinds"]), (1, 4, {"lte/prach": 4}))
        self.assertAlmostEqual(row["rates"]["named"]["per_hour"], 4 * 360)
        self.assertAlmostEqual(row["rates"]["gsm"]["per_hour_at_most"], 2.9957 * 360, 0)

    def test_our_simulator_can_judge(self):
        scene = self.folder / "scene.toml"
        scene.write_text("seed = $seed\nsnr_db = $snr\ncount = $count\n")
        row = sweep.train_row("own", "prach", "by our own simulator", "lte/prach", "0", {"activity": "lte-access"})
        row = {**row, "scene": str(scene)}
        with mock.patch.object(sweep, "ROWS", [row]):
            status, out, err = self.sweep("own", "--trials", "50")
        self.assertEqual(status, 0, err)
        self.assertIn("50     50", out)

    def test_phones_of_a_row_stand_in_its_scene(self):
        row = next(row for row in sweep.ROWS if row["name"] == "tau")
        tools = mock.Mock(scratch=self.folder, binary="cellwarden")
        sweep.simulator(sweep.Part(row, -6.0, 0, 3, 3, 7), tools)
        scene = tomllib.loads((self.folder / "scene.toml").read_text())
        phones = scene["phone"][1:]
        self.assertEqual([p["name"] for p in phones], ["far-0", "far-1", "far-2"])
        self.assertEqual({(p["activity"], p["snr_db"]) for p in phones}, {("lte-tau", -6.0)})
        self.assertGreater(scene["duration_s"], phones[-1]["start_s"] + 1.0)

    def test_what_is_wrong_is_said(self):
        def refused(word, *words, binary=None):
            status, _, err = self.sweep(*words, binary=binary)
            self.assertEqual(status, 2)
            self.assertIn(word, err)
            self.assertEqual(self.lines(), [])
        refused("no row or group 'prahc'", "prahc")
        refused("--snr", "prach-f0", "--snr", "0:-3:1")
        refused("cargo build --release", "prach-f0", binary=self.folder / "none")
        refused("does not run", "prach-f0", binary=self.shared / "score/score.py")
        refused("is no cellwarden", "prach-f0", binary="/bin/true")
        self.mode("broken")
        refused("--version ended with status 101", "prach-f0")
        self.mode("good")
        (self.shared / "corpus/mode").write_text("full")
        refused("disk of", "prach-f0", "--snr", "0")
        (self.shared / "corpus/mode").unlink()
        with mock.patch.object(shutil, "disk_usage", lambda _: mock.Mock(free=1000)):
            refused("does not fit", "prach-f0", "--snr", "0")
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")):
            status, _, err = self.sweep("prach-f0", "--snr", "0")
            self.assertEqual(status, 2)
            self.assertIn("cannot write", err)
        shutil.rmtree(self.out)
        (self.shared / "corpus/scenes/pd_lte_prach.template.json").unlink()
        refused("SHARED=/path/to/shared", "prach-f0")
        shutil.rmtree(self.shared)
        refused("SHARED=/path/to/shared", "prach-f0")
        shutil.rmtree(self.out)
        self.out.write_text("a file")
        status, _, err = self.sweep("prach-f0")
        self.assertEqual(status, 2)
        self.assertIn("--out DIR", err)

    def test_a_picture_for_each_group(self):
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            self.skipTest("no matplotlib in this Python")
        self.sweep("prach-f0", "prach-f0-full", "--snr", "-6:0:3", "--trials", "100")
        status, _, err = self.sweep("--draw", binary="")
        self.assertEqual(status, 0, err)
        self.assertEqual((self.out / "prach.png").read_bytes()[:4], b"\x89PNG")


def run(module):
    global sweep
    sweep = module
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in (Figures, Runs))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    return 0 if result.wasSuccessful() else 1
