"""Flower's secure aggregation between sites in this process."""

import io

import numpy as np
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

from cervix_tf.errors import InputError

SECURE = {"secure_aggregation": "secagg+"}


def arrays_of(message):
    """All arrays in a message, in the clear or as the bytes of an array."""
    found = []
    for record in message.content.array_records.values():
        found += record.to_numpy_ndarrays()
    for record in message.content.config_records.values():
        for value in record.values():
            if isinstance(value, list) and value and isinstance(value[0], bytes) and value[0][:6] == b"\x93NUMPY":
                found += [np.load(io.BytesIO(each)) for each in value]
    return found


def test_the_masked_sum_gives_the_mean(federation, close):
    plain, secure = federation(name="plain"), federation(**SECURE)
    assert close(secure.weights, plain.weights, atol=1e-6)
    assert list(secure.record["event"]) == ["trained"] * 6 and set(secure.record["examples"]) == {12}
    np.testing.assert_allclose(secure.history["loss"], plain.history["loss"], atol=1e-5)
    assert (secure.record["bytes_sent"] > secure.record["bytes_received"]).all(), "8 bytes a number, and keys"


def test_no_reply_holds_a_sites_weights_or_its_change(federation, tiny, agreed, first):
    trainer = tiny.trainer(agreed())
    trained = [trainer.train(tiny.site(name), first, 0).weights for name in "abc"]
    heard = federation(rounds=1, **SECURE).grid.heard
    sent = [array for reply in heard for array in arrays_of(reply)]
    masked = [array for array in sent if array.shape == first[0].shape]
    assert len(masked) == 3 and all(array.dtype == np.int64 for array in masked)
    for weights in trained:
        for array in sent:
            assert not any(np.array_equal(array, own) for own in weights)
            if array.shape == first[0].shape:
                steps = (array / 2.0**29 * 16 - 8).ravel()
                assert abs(np.corrcoef(steps, (weights[0] - first[0]).ravel())[0, 1]) < 0.5


def test_a_site_that_is_lost_while_it_trains_is_left_out(federation, close):
    secure = federation(minimum=2, rounds=1, fault="raise:b:1", **SECURE)
    assert close(secure.weights, federation(name="plain", minimum=2, rounds=1, away="b").weights, atol=1e-6)
    assert list(secure.record["event"]) == ["trained", "died", "trained"]


def test_a_site_that_is_lost_before_it_shared_its_keys_ends_the_round_and_nothing_else(federation, close):
    """Flower's protocol cannot go on then: the others ask for parts of keys that they never got."""
    with pytest.raises(InputError, match=r"round 1: 0 of 3 clients .*b late"):
        federation(minimum=2, fault="late:b:0", **SECURE)
    assert close(federation(minimum=2, **SECURE).weights, federation(name="plain").weights, atol=1e-6)


def test_with_too_few_sites_the_round_is_refused_and_goes_on_later(federation, close):
    with pytest.raises(InputError, match=r"round 2: 0 of 3 clients .*the disk is gone"):
        federation(fault="raise:b:2", **SECURE)
    assert close(federation(**SECURE).weights, federation(name="plain").weights, atol=1e-6)
    with pytest.raises(InputError, match=r"round 1: 0 of 3 clients .*was not asked: too few"):
        federation(name="away", away="b", **SECURE)


@pytest.mark.parametrize("kind", ["times1e6", "times1e30", "nan"])
def test_a_site_whose_change_cannot_be_sent_says_so_itself(kind, federation):
    record = federation(rounds=1, minimum=2, fault=f"{kind}:b:1", **SECURE).record
    assert list(record["event"]) == ["trained", "died", "trained"]
    assert "at most 8 can be sent masked" in record["reason"][1]


def test_a_sum_that_honest_sites_cannot_have_is_refused_without_a_name(federation, tiny, monkeypatch):
    from flwr.common import ndarray_to_bytes

    from cervix_tf.federated.flower import secure

    real = secure.secaggplus_mod

    def lying(message, context, call_next):
        reply = real(message, context, call_next)
        config = reply.content.config_records[secure.RECORD_KEY_CONFIGS]
        if message.metadata.dst_node_id == 101 and secure.Key.MASKED_PARAMETERS in config:
            masked = [np.load(io.BytesIO(each)) for each in config[secure.Key.MASKED_PARAMETERS]]
            masked[1] = masked[1] + 2**31
            config[secure.Key.MASKED_PARAMETERS] = [ndarray_to_bytes(each) for each in masked]
        return reply

    monkeypatch.setattr(secure, "secaggplus_mod", lying)
    with pytest.raises(InputError, match=r"round 1: the sum of the masked updates changes a weight by"):
        federation(rounds=1, **SECURE)


def test_a_site_that_demands_masks_sends_nothing_without_them(federation, close):
    demand = {"secure-aggregation": "secagg+"}
    with pytest.raises(InputError, match=r"0 of 3 clients .*masked or not at all"):
        federation(node_config=demand)
    assert close(federation(node_config=demand, **SECURE).weights, federation(name="plain").weights, atol=1e-6)
    validated = federation(name="validated", node_config=demand, validation="sites", **SECURE)
    assert validated.history["val_loss"].notna().all()
