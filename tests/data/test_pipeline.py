from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.config import Augmentation, Images
from cervix_tf.data import inputs, manifest, pipeline, samplers
from cervix_tf.errors import InputError

CLASSES = ("a", "b")
SMALL = Images(height=24, width=32, batch_size=4)
TABLE_1 = Augmentation((0.0, 45.0), (1.0, 2.0), (0.0, 30.0), horizontal_flip=0.5)


@pytest.fixture
def pictures(tmp_path):
    """Ten smooth pictures; the mean color of picture k is about 20 k + 20."""
    rng = np.random.default_rng(0)
    records = []
    for k in range(10):
        noise = cv2.resize(rng.normal(0, 8, (6, 8, 3)), (64, 48), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.clip(noise + 20 * k + 20, 0, 255).astype(np.uint8))
        records.append(
            {
                "path": f"{k}.png",
                "label": CLASSES[k % 2],
                "case": f"case{k // 2}",
                "view": ("green", "iodine")[k % 2],
            }
        )
    return inputs.from_images(manifest.from_records(records, tmp_path), CLASSES)


def drawn(found, **changed):
    settings = {"seed": 3, "epochs": 3, **changed}
    return list(pipeline.training(found, SMALL, TABLE_1, **settings).as_numpy_iterator())


def which(batch):
    """The pictures of a batch, by their mean color."""
    return [round((np.median(pixels[8:16, 10:22]) - 20) / 20) for pixels in batch]


def test_training_batches_are_uint8_of_the_configured_size(pictures):
    pixels, labels = drawn(pictures)[0]
    assert pixels.shape == (4, 24, 32, 3) and pixels.dtype == np.uint8
    assert labels.shape == (4,) and labels.dtype == np.int32


def test_labels_follow_their_images_through_the_shuffle(pictures):
    for pixels, labels in drawn(pictures):
        assert [k % 2 for k in which(pixels)] == list(labels)


def test_every_epoch_has_whole_batches_of_different_images_in_its_own_order(pictures):
    batches = drawn(pictures)
    assert len(batches) == 3 * pipeline.steps(pictures, SMALL) == 6
    epochs = [which(np.concatenate([batches[2 * k][0], batches[2 * k + 1][0]])) for k in range(3)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_rest_of_an_epoch_may_be_a_smaller_batch_whose_files_are_known_too(pictures):
    every = pipeline.training(pictures, SMALL, TABLE_1, seed=3, epochs=2, keep_rest=True)
    batches = list(every.as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [4, 4, 2] * 2
    assert pipeline.steps(pictures, SMALL, keep_rest=True) == 3
    for epoch in (batches[:3], batches[3:]):
        assert sorted(k for pixels, _ in epoch for k in which(pixels)) == list(range(10))
    for step, (pixels, _) in enumerate(batches):
        assert [Path(file).stem for file in pipeline.files(every, step)] == [str(k) for k in which(pixels)]
    later = pipeline.training(pictures, SMALL, TABLE_1, seed=3, epochs=2, first_epoch=1, keep_rest=True)
    for (found, _), (expected, _) in zip(later.as_numpy_iterator(), batches[3:], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(pictures):
    first, again, other = drawn(pictures), drawn(pictures), drawn(pictures, seed=4)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


def test_batches_do_not_depend_on_parallelism(pictures):
    parallel = drawn(pictures)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    alone = pipeline.training(pictures, SMALL, TABLE_1, seed=3, epochs=3).with_options(options)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(parallel, alone.as_numpy_iterator(), strict=True))


def test_no_tuner_keeps_an_iterator_waiting_at_its_end(pictures):
    for batches in (
        pipeline.training(pictures, SMALL, TABLE_1, seed=3, epochs=3),
        pipeline.evaluation(pictures, SMALL),
    ):
        assert batches.map(lambda pixels, labels: pixels).options().autotune.enabled is False


def test_starting_at_a_later_epoch_gives_that_epochs_batches(pictures):
    whole, rest = drawn(pictures), drawn(pictures, first_epoch=2)
    assert len(rest) == 2
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(whole[4:], rest, strict=True))


def test_an_image_is_augmented_anew_each_epoch(pictures):
    seen = {}
    for pixels, _ in drawn(pictures):
        for k, image in zip(which(pixels), pixels, strict=True):
            seen.setdefault(k, []).append(image)
    repeated = [images for images in seen.values() if len(images) > 1]
    assert repeated and all(not np.array_equal(images[0], images[1]) for images in repeated)


def test_evaluation_gives_every_image_once_in_order_resized_as_tensorflow_does(pictures):
    batches = list(pipeline.evaluation(pictures, SMALL).as_numpy_iterator())
    pixels, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert list(labels) == [0, 1] * 5
    for (file,), found in zip(pictures.files, pixels, strict=True):
        rgb = cv2.imread(file)[..., ::-1]
        np.testing.assert_allclose(found, tf.image.resize(rgb, (24, 32)), atol=1e-4)


def test_cases_are_stacked_view_by_view(pictures, tmp_path):
    table = manifest.from_records(
        [
            {"path": f"{k}.png", "label": "a", "case": f"c{k // 2}", "view": ("green", "iodine")[k % 2]}
            for k in range(10)
        ],
        tmp_path,
    )
    cases, _ = inputs.from_cases(table, CLASSES, ("iodine", "green"))
    pixels, _ = next(pipeline.evaluation(cases, SMALL).as_numpy_iterator())
    assert pixels.shape == (4, 2, 24, 32, 3)
    assert which(pixels[:, 0]) == [1, 3, 5, 7] and which(pixels[:, 1]) == [0, 2, 4, 6]
    pixels, _ = next(pipeline.training(cases, SMALL, TABLE_1, seed=0, epochs=1).as_numpy_iterator())
    assert which(pixels[:, 0]) == [k + 1 for k in which(pixels[:, 1])]


@pytest.mark.parametrize(("cache", "supersampling"), [("none", 1), ("memory", 2)])
def test_a_missing_view_is_black_however_it_is_augmented_and_no_file(pictures, cache, supersampling):
    images = replace(SMALL, cache=cache, supersampling=supersampling)
    lacking = tuple(((file, ""), ("", file))[at % 2] for at, (file,) in enumerate(pictures.files))
    cases = replace(pictures, files=lacking, views=("green", "iodine"))
    changed = Augmentation((0, 45), (1, 2), brightness=(1, 2), contrast=(1, 2), mirror_outside=True)
    trained = pipeline.one_epoch(cases, images, changed, seed=0, epoch=0)
    for batches in (trained, pipeline.evaluation(cases, images)):
        dark = np.concatenate([pixels.max(axis=(2, 3, 4)) == 0 for pixels, _ in batches.as_numpy_iterator()])
        np.testing.assert_array_equal(dark, [[file == "" for file in case] for case in lacking])
    assert pipeline.files(pipeline.evaluation(cases, images), 0) == [file for (file,) in pictures.files[:4]]


def test_views_of_one_place_are_changed_alike_and_others_each_on_its_own(pictures):
    twice = replace(pictures, files=tuple((file, file) for (file,) in pictures.files), views=("picture", "mask"))
    (first, _), (second, _) = drawn(replace(twice, aligned=True))[0], drawn(twice)[0]
    assert first.shape == (4, 2, 24, 32, 3)
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    np.testing.assert_array_equal(first[:, 0], drawn(pictures)[0][0])
    assert (second[:, 0] != second[:, 1]).any()


def test_fewer_images_than_a_batch_make_one_smaller_batch(pictures):
    few = Images(height=24, width=32, batch_size=64)
    (pixels, _), *rest = pipeline.training(pictures, few, TABLE_1, seed=0, epochs=1).as_numpy_iterator()
    assert pixels.shape[0] == 10 and not rest


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_caching_decoded_images_changes_nothing(pictures, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CERVIX_TF_CACHE", str(tmp_path / "kept"))
    cached = Images(height=24, width=32, batch_size=4, cache=cache)
    found = pipeline.training(pictures, cached, TABLE_1, seed=3, epochs=3).as_numpy_iterator()
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(drawn(pictures), found, strict=True))


def test_the_memory_of_decoded_images_is_one_for_all_pipelines_and_notices_a_changed_file(pictures, monkeypatch):
    in_memory, decoded = Images(height=24, width=32, batch_size=4, cache="memory"), []
    decode = pipeline.decode_file
    monkeypatch.setattr(pipeline, "decode_file", lambda path: decoded.append(path) or decode(path))

    def pixels():
        return np.concatenate([batch for batch, _ in pipeline.evaluation(pictures, in_memory).as_numpy_iterator()])

    first = pixels()
    np.testing.assert_array_equal(pixels(), first)
    assert sorted(decoded) == sorted(file for (file,) in pictures.files)
    ((file,), *_) = pictures.files
    cv2.imwrite(file, np.full((48, 64, 3), 255, np.uint8))
    assert pixels()[0].min() == 255 and decoded[len(pictures) :] == [file]


def test_the_cache_on_disk_serves_the_next_run_and_notices_a_changed_file(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("CERVIX_TF_CACHE", str(tmp_path / "kept"))
    on_disk = Images(height=24, width=32, batch_size=4, cache="disk")

    def pixels():
        return np.concatenate([batch for batch, _ in pipeline.evaluation(pictures, on_disk).as_numpy_iterator()])

    first = pixels()
    assert len(list((tmp_path / "kept" / "images").iterdir())) == 10
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "decode_file", lambda path: pytest.fail(f"{path} was decoded again"))
        np.testing.assert_array_equal(pixels(), first)
    ((file,), *_) = pictures.files
    cv2.imwrite(file, np.full((48, 64, 3), 255, np.uint8))
    assert pixels()[0].min() == 255


def test_a_broken_image_ends_in_an_error_that_names_its_file(pictures):
    (broken,) = pictures.files[3]
    Path(broken).write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"3\.png"), pipeline.readable_errors():
        drawn(pictures)


def by_sampler(found, **changed):
    settings = {"seed": 3, "epochs": 3, **changed}

    def draw(generator):
        return samplers.p_by_s(found, generator, classes=2, images=3, batches=4)

    return list(pipeline.sampled(found, SMALL, TABLE_1, draw, **settings).as_numpy_iterator())


def test_a_samplers_batches_are_loaded_in_its_order(pictures):
    batches = by_sampler(pictures)
    assert len(batches) == 3 * 4 and batches[0][0].shape == (6, 24, 32, 3)
    for pixels, labels in batches:
        seen = which(pixels)
        assert [k % 2 for k in seen] == list(labels)
        assert len(set(seen)) == 6 and len(set(labels[:3])) == len(set(labels[3:])) == 1


def test_a_samplers_epoch_is_the_same_when_training_starts_at_it(pictures):
    whole, rest, other = by_sampler(pictures), by_sampler(pictures, first_epoch=1), by_sampler(pictures, seed=4)
    assert len(rest) == 8
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(whole[4:], rest, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(whole, other, strict=True))
    assert len({tuple(which(np.concatenate([pixels for pixels, _ in whole[k : k + 4]]))) for k in (0, 4, 8)}) == 3


def test_a_samplers_refusal_is_raised_before_training_starts(pictures):
    with pytest.raises(InputError, match="7"):
        pipeline.sampled(
            pictures,
            SMALL,
            TABLE_1,
            lambda generator: samplers.p_by_s(pictures, generator, classes=2, images=7, batches=1),
            seed=0,
            epochs=1,
        )


def test_two_views_of_each_image_stand_side_by_side_the_same_whatever_the_parallelism(pictures):
    both = (Augmentation(), Augmentation(horizontal_flip=1.0))

    def batches(**changed):
        return pipeline.views(pictures, SMALL, both, **{"seed": 3, "epochs": 3, **changed})

    first = list(batches().as_numpy_iterator())
    assert len(first) == 3 * pipeline.steps(pictures, SMALL)
    for pixels, labels in first:
        assert pixels.shape == (8, 24, 32, 3) and pixels.dtype == np.uint8
        assert labels.shape == (8,) and np.array_equal(labels[::2], labels[1::2])
        assert np.array_equal(pixels[::2], pixels[1::2, :, ::-1])  # one plain, one mirrored
        assert [k % 2 for k in which(pixels)] == list(labels)
    assert [which(pixels[::2]) for pixels, _ in first] == [which(pixels) for pixels, _ in drawn(pictures)]
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    alone = batches().with_options(options)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, alone.as_numpy_iterator(), strict=True))
    later = list(batches(first_epoch=2).as_numpy_iterator())
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first[4:], later, strict=True))


def test_two_augmented_views_draw_differently(pictures):
    pixels, _ = next(iter(pipeline.views(pictures, SMALL, (TABLE_1, TABLE_1), seed=0, epochs=1)))
    first, second = pixels.numpy()[::2].astype(int), pixels.numpy()[1::2]
    assert (np.abs(first - second).mean(axis=(1, 2, 3)) > 0.5).all()
