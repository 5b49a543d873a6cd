"""Tests; a package, so that they share `tests.drawn` and modules of one name can lie in different folders."""
