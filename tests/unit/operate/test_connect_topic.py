"""The offset topic of a Kafka Connect: what is said of settings that its client does not take."""

from __future__ import annotations

import pytest

from cdc.core.errors import OffsetStoreError
from cdc.operate.connect_topic import offsets_of


def test_a_setting_that_is_wrong_is_not_said_to_be_the_topics_name() -> None:
    settings = {"bootstrap.servers": "127.0.0.1:1", "security.protocol": "SSL", "ssl.key.pem": "geheim"}
    with pytest.raises(OffsetStoreError, match=r"ssl\.key\.pem failed") as caught:
        offsets_of("connect-offsets", settings)("orders")
    assert "ssl.* in the file of --command-config" in caught.value.hint
    assert "geheim" not in str(caught.value)
