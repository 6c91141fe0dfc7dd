"""Reports: one HTML page of one or several runs that needs nothing but a browser."""

from wrlso.results.report.page import make_page, report

__all__ = ["make_page", "report"]
