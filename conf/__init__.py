"""The configuration tree, shipped with the package as `lsgen.conf`."""
