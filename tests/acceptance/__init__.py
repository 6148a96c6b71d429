"""Every mart is recomputed with DuckDB over the Parquet files of the real data, from its definition alone.

`references/<mart>.sql` is one SELECT written without the model: it reads the source's tables by their names, and the
views of `references/_views.sql`; `$as_of` is the business date. It returns the mart's key and the columns to compare,
under the mart's names. `-- Validates:` states in one sentence what is validated; `-- Among:` is a condition on the
mart's rows if the reference covers only some of them; `-- Within:` is the relative difference that is allowed because
engines round differently (default: a billionth; a difference of up to 0.0000000001 is always allowed).
"""
