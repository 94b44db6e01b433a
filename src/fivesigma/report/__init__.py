"""Reports: one self-contained HTML page and `results.json` from a list of Results."""

from fivesigma.report.html import versions, write_report
from fivesigma.report.numbers import (
    collect,
    format_number,
    number_table,
    tagger_table,
    write_results,
)

__all__ = [
    "collect",
    "format_number",
    "number_table",
    "tagger_table",
    "versions",
    "write_report",
    "write_results",
]
