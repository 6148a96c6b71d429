"""Every mart a second time: computed by DuckDB over the Parquet files of the real data, from the definition alone.

`references/<mart>.sql` is one SELECT that never saw the model: it reads the source's tables by their names, and the
views of `references/_views.sql`; `$as_of` is the business date. It gives the mart's key and the columns that are
compared, under the mart's names. `-- Validates:` says in a sentence what is validated, `-- Among:` is a condition on
the mart's rows where the reference speaks of some of them only, `-- Within:` how far figures may lie apart because
engines round differently (default: 0.0000000001, or a billionth of the figure).
"""
