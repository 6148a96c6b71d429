"""The chaos suite: rounds of changes and faults on a small platform, each decided by its seed. See docs/chaos.md.

- `rounds`: draws a round from its seed, plays it, and lets the platform settle
- `business`: the changes at the source, good and bad
- `faults`: the kinds of faults and the statements at which they strike
- `scheduler`: takes Airflow's place, and lets the faults strike
- `tasks`: a task of Airflow or the watch in a process of its own
- `platform`: the databases of a round, and the place where the disk can be full
- `readers`: what readers see all the while, and whether it was ever anything but one published version
- `invariants`: what must hold after a round
- `report`: the table in docs/chaos.md
"""
