"""Networks in files: tables of links, GraphML, arrays of numpy, and archives of netzschleuder."""
