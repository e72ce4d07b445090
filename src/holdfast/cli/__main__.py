"""`python -m holdfast.cli`: the same as `holdfast`, for processes that start others."""

from holdfast.cli.entry import main

main()
