"""`python -m orakul` is `orakul`."""

from orakul.cli import main

main()
