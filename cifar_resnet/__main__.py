"""`python -m cifar_resnet`: prints the version, and which programs there are."""

import argparse

from cifar_resnet import __version__
from cifar_resnet.terminal import never_fail

_PROGRAMS = """programs:
  python train.py --help                     train one network or a sweep
  python aggregate.py --help                 tables, figures and a report from run folders
  python -m cifar_resnet.status --help       the state of all runs under a folder
  python -m cifar_resnet.evaluate --help     test a finished run again
  python -m cifar_resnet.diagnose --help     gradients and responses before any training
"""


def main(arguments: list[str] | None = None) -> None:
    """Entry of the program."""
    never_fail()
    parser = argparse.ArgumentParser(
        prog="python -m cifar_resnet", epilog=_PROGRAMS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"cifar-resnet {__version__}")
    parser.parse_args(arguments)
    parser.print_help()


if __name__ == "__main__":
    main()
