"""`python -m nac.cli` is `nac`."""

from nac.cli import main

if __name__ == "__main__":  # the processes of a batch import this file too
    main(prog_name="nac")
