"""`python -m nac.cli` is `nac`."""

from nac.cli import main

main(prog_name="nac")
