"""`python -m nac` is the `nac` command."""

from nac.cli import main

if __name__ == "__main__":
    main()
