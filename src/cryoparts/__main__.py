"""``python -m cryoparts``: the command line, by whatever interpreter the package is in."""

from cryoparts.cli.main import main

if __name__ == "__main__":
    main()
