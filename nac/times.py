"""Times as people write and read them."""

from __future__ import annotations


def show_time(seconds: float) -> str:
    """Seconds as people read them, to the millisecond.

    >>> show_time(83.4567), show_time(3723.5)
    ('1:23.457', '1:02:03.500')
    """
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60000)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{front}:{rest // 1000:02}.{rest % 1000:03}"
