"""Values for hypothesis to try."""

from __future__ import annotations

from hypothesis import strategies as st

#: Any JSON value, infinities and NaN included, which Python's json reads and writes.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner)
    ),
    max_leaves=8,
)
