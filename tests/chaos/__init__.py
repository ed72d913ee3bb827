"""Chaos: commands are killed, disturbed and given damaged files, as a seed decides, and then run again.

python -m tests.chaos --kills 1000 --faults 1000 --seed 1

After every kill and fault, the same command must either end with the bytes of an undisturbed run, or exit with code 2
and one line that names the fault. It must never end in a traceback, lose what was committed, make anything twice, or
accept damaged files as sound.

commands.py  the commands, with inputs so small that hundreds of runs take minutes
running.py   a run in a forked process: every module is imported once, in the parent
machine.py   changes to the machine during a run: mounts, permissions, system calls that fail
damage.py    damage to files
kills.py, faults.py  an attempt of each kind
judge.py     what must be the same after a run, and which promise was broken if it is not
table.py     the attempts so far, and the table of them

It runs on Linux only. Faults that need root (mounts) or strace are left out without them, and so from the table.
"""
