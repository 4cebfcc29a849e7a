"""The report page: a module and a template for each of its parts. Every number on it is computed or formatted in these modules, from
the results' JSON; the scripts draw and filter, and compute none."""
