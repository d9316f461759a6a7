"""Networks in files: tables of links, GraphML, arrays of numpy, archives of netzschleuder, WordNet."""
