"""Picture features from the decoder to the library: rows, the worker's stage, files, and what goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import VideoNotFound, WeightsMissing
from pipeline.features.pictures import I3DPictures, extract, fast_precision
from pipeline.library import archive, jobs
from pipeline.library import pictures as files
from pipeline.library.store import Library
from pipeline.picture_stage import MOST_DEATHS, NO_PICTURES
from pipeline.probe import probe
from pipeline.sources import Source
from pipeline.types import Progress
from tests.fake_network import FakeNetwork
from tests.i3d_parts import write_weights
from tests.library_factory import add
from tests.media_factory import make_long_video, make_video
from tests.test_frames import grey_video
from tests.work_parts import FakeEngines, a_file, a_library, a_worker, an_upload, in_process, wait_until, work


class Seeing(FakeEngines):
    """Engines with a picture network."""

    def __init__(self, network: FakeNetwork | None = None) -> None:
        super().__init__()
        self.network = network or FakeNetwork()


def rows_of(path: Path, network: FakeNetwork, **how: int) -> np.ndarray:
    return np.concatenate(list(extract(path, probe(path), network, **how)))


# Extraction


def test_a_row_for_each_second_in_batches(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", 6.5)
    network = FakeNetwork()
    found = rows_of(path, network)
    assert found.shape == (7, 4) and found.dtype == np.float32
    assert network.batches == [4, 3]
    assert np.allclose(rows_of(path, network, first=3, last=6), found[3:6], atol=1e-6)


@pytest.mark.parametrize("decoders", [2, 5])
def test_several_decoders_give_the_same_rows(tmp_path: Path, decoders: int) -> None:
    path = make_video(tmp_path / "v.mp4", 70, size=(64, 64), fps=5, keyframe_seconds=7)
    several = FakeNetwork()
    several.decoders = decoders
    assert np.allclose(rows_of(path, several, first=2), rows_of(path, FakeNetwork(), first=2), atol=1e-6)
    assert "pictures" not in [thread.name for thread in threading.enumerate()]


def test_seconds_that_stand_still_are_computed_once(tmp_path: Path) -> None:
    path = grey_video(tmp_path / "slides.mkv", [0.0, 7.0, 12.0, 13.0])
    network = FakeNetwork()
    found = rows_of(path, network)
    assert network.seen == 3 and len(found) == 13
    steps = np.flatnonzero(np.abs(np.diff(found[:, 0])) > 1e-3)
    assert steps.tolist() == [6, 11]


def test_hours_of_a_still_picture_are_no_work(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mkv", 2, audio=False)
    network = FakeNetwork()
    media = replace(probe(path), duration=3 * 3600.0)
    assert sum(map(len, extract(path, media, network))) == 3 * 3600 and network.seen <= 4


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("i3d") / "rgb_imagenet.pt")


def test_half_precision_is_within_one_percent_of_the_largest_value(weights: Path) -> None:
    dice = np.random.default_rng(1)
    window = dice.integers(0, 256, (1, 16, 224, 224, 3), dtype=np.uint8)
    exact = I3DPictures(weights, "cpu", "float32").features(window)
    half = I3DPictures(weights, "cpu", "bfloat16").features(window)
    assert exact.shape == half.shape == (1, 1024) and exact.dtype == half.dtype == np.float32
    assert 0 < np.abs(exact - half).max() <= 0.01 * np.abs(exact).max()


def test_the_network_sees_red_green_blue_in_minus_one_to_one(weights: Path) -> None:
    from pipeline.features.i3d import load_i3d

    window = np.zeros((1, 16, 224, 224, 3), np.uint8)
    window[..., 0], window[:, 8:, :112, :, 2] = 255, 128
    x = torch.from_numpy(window).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    assert x.min() == -1 and x.max() == 1
    with torch.inference_mode():
        wanted = load_i3d(weights).extract_features(x).flatten(1).numpy()
    found = I3DPictures(weights, "cpu", "float32").features(window)
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_the_name_of_the_rows_is_that_of_the_weights(weights: Path, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "rgb_imagenet.pt", seed=8)
    one, two = (I3DPictures(path, "cpu").name for path in (weights, other))
    assert one.startswith("i3d-") and one != two
    assert fast_precision("cuda") == "float16" and fast_precision("mps") == "float32"


# The stage


def taken_in(library: Library, engines: FakeEngines, *sources: Source) -> list[str]:
    queued = jobs.submit(library, sources)
    work(library, engines=engines, threads=1)  # one after the other, in this order
    return [jobs.job(library, job.id).video_id for job in queued]


def test_pictures_follow_when_the_video_can_be_searched(tmp_path: Path) -> None:
    library, engines = a_library(tmp_path), Seeing()
    states: list[tuple[str, str]] = []

    def observe(job_id: int, progress: Progress) -> None:
        if progress.stage == "picture features":
            states.append((library.videos()[0].state, jobs.job(library, 1).status))

    jobs.submit(library, [a_file(tmp_path)])
    work(library, engines=engines, observe=observe)
    add_job, picture_job = jobs.jobs(library)
    assert (add_job.kind, picture_job.kind) == ("add", "pictures")
    assert (add_job.status, picture_job.status) == ("done", "done") and picture_job.fraction == 1.0
    assert states and set(states) == {("ready", "done")}
    [video] = library.videos()
    [(video_id, found)] = library.picture_features([video.id]).items()
    assert video_id == video.id and found.shape == (3, 4) and found.dtype == np.float32
    assert np.allclose(found, rows_of(video.path, FakeNetwork()), atol=1e-3)
    assert library.picture_model() == "fake-network" and library.needs_pictures("fake-network") == []
    assert not any((library.root / "work").rglob("*"))


def test_without_weights_there_is_no_job_and_nothing_is_made_up(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [video] = taken_in(library, FakeEngines(), a_file(tmp_path))
    assert [job.kind for job in jobs.jobs(library)] == ["add"]
    assert library.picture_features([video]) == {} and library.picture_model() == ""


def test_videos_from_before_get_theirs_when_weights_come_and_again_when_they_change(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    ids = taken_in(library, FakeEngines(), a_file(tmp_path), an_upload(tmp_path, seed=1))
    for name in ("first", "second"):
        network = FakeNetwork(name)
        work(library, engines=Seeing(network))
        assert network.seen == 6 and set(library.picture_features(ids)) == set(ids)
        assert library.picture_model() == name
        assert [len(files.files_in(library.folder(each))) for each in ids] == [1, 1]
    again = FakeNetwork("second")
    work(library, engines=Seeing(again))
    assert again.seen == 0


def test_new_videos_come_first(tmp_path: Path) -> None:
    """A long video's pictures are being looked at; one that is added meanwhile does not wait for them."""
    library = a_library(tmp_path)
    long = make_video(tmp_path / "long.mp4", 150, size=(64, 64), fps=2, keyframe_seconds=1)
    [long_id] = taken_in(library, FakeEngines(), Source("file", path=long, title="long"))
    order: list[str] = []
    network = FakeNetwork()

    def observe(job_id: int, progress: Progress) -> None:
        if (
            progress.stage == "picture features"
            and (progress.fraction or 0) > 0.1
            and len(jobs.jobs(library)) == 2
        ):
            jobs.submit(library, [a_file(tmp_path)])
        order.append(f"{job_id} {progress.stage}")

    work(library, engines=Seeing(network), observe=observe, threads=1)
    assert [job.status for job in jobs.jobs(library)] == ["done"] * 3
    first, last = order.index("3 fetch"), len(order) - order[::-1].index("2 picture features")
    assert order.index("2 picture features") < first < last
    assert network.seen <= 150 + 60 + 3  # at most the piece it was in is done again
    assert {each: len(rows) for each, rows in library.picture_features([long_id]).items()} == {long_id: 150}
    assert len(library.picture_features([v.id for v in library.videos()])) == 2


def test_progress_and_the_name_of_the_video_are_shown(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    taken_in(library, FakeEngines(), a_file(tmp_path), an_upload(tmp_path, seed=1))
    told: list[Progress] = []
    work(library, engines=Seeing(), observe=lambda _, progress: told.append(progress))
    fractions = [p.fraction for p in told if p.stage == "picture features" and p.fraction is not None]
    assert fractions == sorted(fractions) and 0.3 < fractions[len(fractions) // 2] < 0.8
    assert {"“kettle” (1 of 2)", "“upload” (2 of 2)"} <= {p.detail for p in told}


def test_a_download_of_the_weights_is_shown_and_can_be_stopped(tmp_path: Path) -> None:
    library = a_library(tmp_path)

    class Fetching(Seeing):
        def pictures(self, report):
            report(0.25)
            for _ in range(200):
                report(0.5)
                time.sleep(0.05)
            raise AssertionError("nobody stopped it")

    taken_in(library, FakeEngines(), a_file(tmp_path))
    told: list[str] = []

    def observe(job_id: int, progress: Progress) -> None:
        told.append(progress.detail)
        if progress.detail.endswith("50%"):
            jobs.cancel(library, job_id)

    work(library, engines=Fetching(), observe=observe)
    assert "fetching the picture network, 25%" in told and jobs.jobs(library)[-1].status == "cancelled"


def killed_worker(root: str, pieces: int) -> None:
    """A worker that dies when this many pieces are written."""

    class Dying(FakeNetwork):
        def features(self, windows: np.ndarray) -> np.ndarray:
            if len(list(Path(root).rglob("pictures-*.npy"))) >= pieces:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().features(windows)

    work(Library.open(root), engines=Seeing(Dying()))


def test_a_killed_worker_goes_on_with_the_piece_it_was_in(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    path = make_video(tmp_path / "long.mp4", 130, size=(64, 64), fps=2, keyframe_seconds=7)
    [video] = taken_in(library, FakeEngines(), Source("file", path=path, title="long"))
    assert in_process(killed_worker, str(library.root), 1) == -signal.SIGKILL
    assert library.picture_features([video]) == {} and library.video(video).state == "ready"
    network = FakeNetwork()
    work(library, engines=Seeing(network))
    assert network.seen == 70
    found = library.picture_features([video])[video]
    assert np.allclose(found, rows_of(path, FakeNetwork()), atol=1e-3) and len(found) == 130


def killed_by_a_video(root: str) -> None:
    """A worker that dies over the first pictures of the first video that it looks at."""

    class Dying(FakeNetwork):
        def features(self, windows: np.ndarray) -> np.ndarray:
            os.kill(os.getpid(), signal.SIGKILL)
            return super().features(windows)

    work(Library.open(root), engines=Seeing(Dying()))


def test_a_video_that_kills_the_worker_does_not_keep_the_others_from_theirs(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    deadly, fine = taken_in(library, FakeEngines(), a_file(tmp_path), an_upload(tmp_path, seed=1))
    for _ in range(MOST_DEATHS):
        assert in_process(killed_by_a_video, str(library.root)) == -signal.SIGKILL
    work(library, engines=Seeing())
    assert jobs.jobs(library)[-1].status == "done"
    assert list(library.picture_features([deadly, fine])) == [fine]
    assert library.video(deadly).notice == NO_PICTURES


def test_a_video_that_is_removed_meanwhile_is_left_at_the_next_minute(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    path = make_video(tmp_path / "long.mp4", 150, size=(64, 64), fps=2, keyframe_seconds=5)
    long_id, other = taken_in(
        library, FakeEngines(), Source("file", path=path, title="long"), a_file(tmp_path)
    )
    network = FakeNetwork()

    def observe(job_id: int, progress: Progress) -> None:
        if "long" in progress.detail and network.seen and len(library.videos()) == 2:
            library.remove(long_id)

    work(library, engines=Seeing(network), observe=observe)
    assert jobs.jobs(library)[-1].status == "done" and network.seen <= 60 + 4 + 3
    assert list(library.picture_features([other])) == [other]
    assert not list((library.root / "work").rglob("pictures-*"))


def test_stopping_a_worker_again_and_again_is_no_death(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [video] = taken_in(library, FakeEngines(), a_file(tmp_path))
    for _ in range(MOST_DEATHS + 3):
        worker = a_worker(library, engines=Seeing(network := FakeNetwork()))
        worker.observe = lambda _, progress, w=worker: w.stop() if "kettle" in progress.detail else None
        worker.run_until_idle()
        assert network.seen == 0 and jobs.jobs(library)[-1].status == "queued"
    work(library, engines=Seeing())
    assert video in library.picture_features([video]) and library.video(video).notice == ""


def test_damaged_pieces_are_made_again(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    path = make_video(tmp_path / "long.mp4", 70, size=(64, 64), fps=2)
    [video] = taken_in(library, FakeEngines(), Source("file", path=path, title="long"))
    pieces = library.root / "work" / video
    pieces.mkdir(parents=True)
    np.save(pieces / f"pictures-{video}-fake-network-v1-0000.npy", np.zeros((3, 4), np.float16))
    (pieces / f"pictures-{video}-fake-network-v1-0001.npy").write_bytes(b"\x93NUMPY")
    work(library, engines=Seeing())
    assert np.allclose(library.picture_features([video])[video], rows_of(path, FakeNetwork()), atol=1e-3)


def test_a_video_whose_pictures_cannot_be_decoded_stays_usable_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = a_library(tmp_path)
    broken, fine = taken_in(library, FakeEngines(), a_file(tmp_path), an_upload(tmp_path, seed=1))
    library.video(broken).path.write_bytes(b"no video any more" * 100)
    work(library, engines=Seeing())
    assert [job.status for job in jobs.jobs(library)] == ["done"] * 3
    assert library.video(broken).state == "ready" and library.video(broken).notice == NO_PICTURES
    assert list(library.picture_features([broken, fine])) == [fine]
    assert [found for found, _ in library.search_transcripts("salt")]
    again = FakeNetwork()
    work(library, engines=Seeing(again))
    assert again.seen == 0 and len(jobs.jobs(library)) == 3  # nobody tries for ever


def test_other_weights_take_the_notice_back(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [video] = taken_in(library, FakeEngines(), a_file(tmp_path))
    path = library.video(video).path
    good = path.read_bytes()
    path.write_bytes(b"no video any more" * 100)
    library.update(video, notice="Cut off.")
    work(library, engines=Seeing())
    assert library.video(video).notice == f"Cut off. {NO_PICTURES}"
    path.write_bytes(good)
    work(library, engines=Seeing(FakeNetwork("other")))
    assert library.video(video).notice == "Cut off." and library.picture_features([video])


def test_a_missing_file_is_waited_for(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [video] = taken_in(library, FakeEngines(), a_file(tmp_path))
    path = library.video(video).path
    aside = path.rename(tmp_path / "aside.mp4")
    work(library, engines=Seeing())
    assert [job.kind for job in jobs.jobs(library)] == ["add"] and library.video(video).notice == ""
    aside.rename(path)
    work(library, engines=Seeing())
    assert video in library.picture_features([video])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WeightsMissing("The weights could not be downloaded."), "could not be downloaded"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (RuntimeError("boom"), "Something unexpected"),
    ],
)
def test_a_failure_is_said_and_can_be_retried_and_costs_no_video(
    tmp_path: Path, error: Exception, said: str
) -> None:
    library = a_library(tmp_path)

    class Broken(Seeing):
        def pictures(self, report):
            raise error

    [video] = taken_in(library, Broken(), a_file(tmp_path))
    job = jobs.jobs(library)[-1]
    assert (job.kind, job.status) == ("pictures", "failed") and said in job.message
    assert library.video(video).state == "ready" and library.video(video).notice == ""
    work(library, engines=Seeing())
    assert len(jobs.jobs(library)) == 2 and library.picture_features([video]) == {}  # the user's to retry
    jobs.retry(library)
    work(library, engines=Seeing())
    assert jobs.job(library, job.id).status == "done" and video in library.picture_features([video])


def test_cancelled_in_the_middle(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    path = make_video(tmp_path / "long.mp4", 130, size=(64, 64), fps=2)
    [video] = taken_in(library, FakeEngines(), Source("file", path=path, title="long"))

    def observe(job_id: int, progress: Progress) -> None:
        if progress.stage == "picture features" and (progress.fraction or 0) > 0.3:
            jobs.cancel(library, job_id)

    work(library, engines=Seeing(), observe=observe)
    job = jobs.jobs(library)[-1]
    assert job.status == "cancelled" and library.video(video).state == "ready"
    assert not list(library.root.rglob("pictures*.npy"))
    jobs.retry(library, job.id)
    work(library, engines=Seeing())
    assert len(library.picture_features([video])[video]) == 130


def test_removed_meanwhile(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    first, second = taken_in(library, FakeEngines(), a_file(tmp_path), an_upload(tmp_path, seed=1))

    def observe(job_id: int, progress: Progress) -> None:
        begins = progress.detail.startswith("“kettle”") and progress.fraction == 0.0
        if begins and first in [video.id for video in library.videos()]:
            library.remove(first)

    work(library, engines=Seeing(), observe=observe)
    assert jobs.jobs(library)[-1].status == "done" and list(library.picture_features([first, second])) == [
        second
    ]
    assert not library.folder(first).exists()


def test_an_hour_in_bounded_memory(tmp_path: Path) -> None:
    """The network never sees more than a batch, and what is held is small beside what was decoded."""
    import tracemalloc

    library = a_library(tmp_path)
    path = make_long_video(tmp_path / "long.mp4", hours=1, audio=False)
    add(library, "long", "words", path=path, duration=3600.0)
    network = FakeNetwork()
    network.features = lambda windows: np.zeros((len(windows), 4), np.float32)  # type: ignore[method-assign]
    tracemalloc.start()
    work(library, engines=Seeing(network))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    [found] = library.picture_features([library.videos()[0].id]).values()
    assert found.shape == (3600, 4) and peak < 120e6


# Files


def features(seed: int = 1, seconds: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).random((seconds, 4)).astype(np.float32)


def test_features_go_with_their_video(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    one, two = add(library, "one", "a"), add(library, "two", "b")
    library.set_picture_features(one.id, "net", features())
    assert np.allclose(library.picture_features([one.id, two.id])[one.id], features(), atol=1e-3)
    assert library.needs_pictures("net") == [two.id] or not two.path.is_file()
    library.remove(one.id)
    assert library.picture_features([one.id]) == {} and not list(library.root.rglob("pictures.*"))
    with pytest.raises(VideoNotFound):
        library.set_picture_features(one.id, "net", features())
    assert not library.folder(one.id).exists()


def test_rows_of_two_networks_are_never_mixed(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    one, two = add(library, "one", "a"), add(library, "two", "b")
    library.set_picture_features(one.id, "old", features())
    library.set_picture_features(two.id, "new", features(2))
    assert list(library.picture_features([one.id, two.id])) == [two.id]
    assert list(library.picture_features([one.id, two.id], "old")) == [one.id]


def test_a_change_is_a_new_revision(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    video, before = add(library, "one", "a"), library.revision()
    library.set_picture_features(video.id, "net", features())
    assert library.revision() > before


@pytest.mark.parametrize("bad", [np.full((2, 4), np.nan), np.zeros(4), np.full((1, 4), 1e9)])
def test_bad_rows_are_refused(tmp_path: Path, bad: np.ndarray) -> None:
    library = a_library(tmp_path)
    video = add(library, "one", "a")
    with pytest.raises(ValueError):
        library.set_picture_features(video.id, "net", bad)
    assert library.picture_features([video.id]) == {}


def hostile(folder: Path) -> dict[str, bytes]:
    """Files that are not what was written."""
    path = folder / "made.npy"

    def saved(array: np.ndarray, allow_pickle: bool = False) -> bytes:
        np.save(path, array, allow_pickle=allow_pickle)
        return path.read_bytes()

    good = saved(features().astype(np.float16))
    return {
        "empty": b"",
        "cut": good[:-3],
        "noise": b"\x00" * 300,
        "huge": huge(good),
        "objects": saved(np.array([[{}]], object), True),
        "float64": saved(np.zeros((5, 4))),
        "flat": saved(np.zeros(5, np.float16)),
        "not finite": saved(np.full((5, 4), np.inf, np.float16)),
    }


def huge(good: bytes) -> bytes:
    """A head that claims a terabyte."""
    head = b"{'descr': '<f2', 'fortran_order': False, 'shape': (999999999, 999), }"
    return good[:8] + (118).to_bytes(2, "little") + head.ljust(117) + b"\n" + good[128:]


@pytest.mark.parametrize(
    "kind", ["empty", "cut", "noise", "huge", "objects", "float64", "flat", "not finite"]
)
def test_damaged_files_are_as_if_they_were_not_there(tmp_path: Path, kind: str) -> None:
    library = a_library(tmp_path)
    video = add(library, "one", "a")
    library.set_picture_features(video.id, "net", features())
    [path] = files.files_in(library.folder(video.id))
    path.write_bytes(hostile(tmp_path)[kind])
    assert library.picture_features([video.id]) == {}


def moved(tmp_path: Path, change: Sequence[bytes] = ()) -> tuple[str, Library]:
    """A library with features, exported and imported into another one."""
    library = a_library(tmp_path / "a")
    [video] = taken_in(library, Seeing(), a_file(tmp_path))
    for data in change:
        files.files_in(library.folder(video))[0].write_bytes(data)
    archive.export_library(library, tmp_path / "out.zip")
    other = a_library(tmp_path / "b")
    archive.import_library(other, tmp_path / "out.zip")
    return video, other


def test_an_archive_carries_them(tmp_path: Path) -> None:
    video, other = moved(tmp_path)
    assert other.picture_model() == "fake-network"
    assert np.allclose(
        other.picture_features([video])[video], rows_of(other.video(video).path, FakeNetwork()), atol=1e-3
    )
    network = FakeNetwork()
    work(other, engines=Seeing(network))
    assert network.seen == 0


def test_damaged_ones_in_an_archive_are_made_again(tmp_path: Path) -> None:
    video, other = moved(tmp_path, [hostile(tmp_path)["objects"]])
    assert other.picture_features([video]) == {}
    work(other, engines=Seeing())
    assert video in other.picture_features([video])


def test_a_full_disk_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = a_library(tmp_path)
    video = add(library, "one", "a")
    library.set_picture_features(video.id, "net", features())

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(Exception, match=r"(?i)space|full"):
        library.set_picture_features(video.id, "new", features(2))
    assert [path.name for path in library.folder(video.id).glob("*pictures*")] == ["pictures.net.npy"]
    assert video.id in library.picture_features([video.id])


def test_two_workers_are_still_one(tmp_path: Path) -> None:
    """The job survives a worker that stops in the middle, and the next one finishes it."""
    library = a_library(tmp_path)
    taken_in(library, FakeEngines(), a_file(tmp_path))
    here = a_worker(
        library,
        engines=Seeing(),
        observe=lambda _, progress: here.stop() if progress.stage == "picture features" else None,
    )
    thread = threading.Thread(target=here.run_forever)
    thread.start()
    wait_until(lambda: not thread.is_alive())
    assert jobs.jobs(library)[-1].status == "queued"
    work(library, engines=Seeing())
    assert jobs.jobs(library)[-1].status == "done"
