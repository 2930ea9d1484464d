"""Every code of the Pub/Sub API has a class, a sentence and a remedy; the code decides, not the status."""

from __future__ import annotations

import grpc
import pytest

from cdc.errors import (
    AuthExpired,
    CdcError,
    ChannelStopped,
    DeliveryLimitReached,
    PositionLost,
    SourceUnavailable,
)
from connectors.salesforce.error_codes import MEANINGS, PREFIX, translate

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("suffix", sorted(MEANINGS))
def test_every_code_becomes_a_sentence_with_what_where_and_what_to_do(suffix: str) -> None:
    error = translate(UNAVAILABLE, "its own words", PREFIX + suffix, where="/data/ChangeEvents")
    assert isinstance(error, MEANINGS[suffix].kind)
    assert "/data/ChangeEvents" in error.sentence()
    assert "its own words" in error.sentence()
    assert error.do


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("service.auth.error", AuthExpired),
        ("topic.not.found", ChannelStopped),
        ("topic.api.unavailable", SourceUnavailable),
        ("subscription.fetch.replayid.corrupted", PositionLost),
        ("subscription.limit.exceeded", DeliveryLimitReached),
        ("subscription.topic.cannot.subscribe", ChannelStopped),
        ("subscription.internal.error", SourceUnavailable),
    ],
)
def test_the_code_decides_whatever_the_status_is(suffix: str, kind: type[CdcError]) -> None:
    for status in (UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN):
        assert type(translate(status, "", PREFIX + suffix, where="c")) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, AuthExpired),
        (grpc.StatusCode.NOT_FOUND, ChannelStopped),
        (grpc.StatusCode.PERMISSION_DENIED, ChannelStopped),
        (grpc.StatusCode.UNIMPLEMENTED, ChannelStopped),
        (grpc.StatusCode.UNAVAILABLE, SourceUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, SourceUnavailable),
        (grpc.StatusCode.INTERNAL, SourceUnavailable),
        (grpc.StatusCode.UNKNOWN, SourceUnavailable),
        (grpc.StatusCode.CANCELLED, SourceUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, SourceUnavailable),
    ],
)
def test_without_a_code_the_status_decides(status: grpc.StatusCode, kind: type[CdcError]) -> None:
    assert type(translate(status, "", "", where="c")) is kind


def test_an_unknown_code_is_named_and_falls_back_to_the_status() -> None:
    error = translate(UNAVAILABLE, "", PREFIX + "something.new", where="c")
    assert type(error) is SourceUnavailable
    assert "something.new" in error.sentence()


def test_the_code_of_a_stopped_channel_is_kept_for_status_and_metrics() -> None:
    error = translate(UNAVAILABLE, "", PREFIX + "topic.not.found", where="c")
    assert isinstance(error, ChannelStopped)
    assert error.code == "topic.not.found"


def test_a_request_to_slow_down_asks_for_a_pause() -> None:
    error = translate(UNAVAILABLE, "", PREFIX + "service.protection.triggered", where="c")
    assert isinstance(error, SourceUnavailable)
    assert error.retry_after_s


def test_a_certificate_that_cannot_be_verified_names_the_setting() -> None:
    error = translate(UNAVAILABLE, "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", "", where="c")
    assert "ca_file" in error.sentence()
