"""The suite's own tests: pytest files, run by scripts/test cli and scripts/test page."""
