"""Where figures come from: the columns of each mart back to the source, and OpenLineage events that say so."""
