"""Networks: links, walks and nodes of a graph as data sets, and graphs that are read or made up."""
