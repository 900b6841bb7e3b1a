"""HTML pages from Jinja templates. Needs jinja2 (`pip install 'nac[eval]'`)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from nac.errors import OptionError


def render(template: Path, **values: Any) -> str:
    """Fill a template.

    Args:
        template: File of the template; it can include the others in its folder.
        values: What the template names. Texts are escaped, unless the template marks them as safe.

    Returns:
        The page.

    Raises:
        OptionError: jinja2 is missing.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise OptionError("pages need jinja2: pip install 'nac[eval]'") from None
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = data_uri
    return environment.get_template(template.name).render(values)


def data_uri(data: bytes, kind: str) -> str:
    """A file of MIME type `kind` as the address of itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
