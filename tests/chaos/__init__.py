"""Chaos: commands are killed, starved and lied to, at random but by seed, and then run again.

python -m tests.chaos --kills 1000 --faults 1000 --seed 1

After every kill and fault the same command again must end in the bytes of a run that nobody disturbed, or in one line
that names the fault, with exit code 2. Never a traceback, nothing lost that was committed, nothing made twice, no
damage taken for sound.

commands.py  which commands, with inputs so small that hundreds of runs take minutes
running.py   a run in a forked process: every module is imported once, in the parent
machine.py   what is done to the machine under a run: mounts, permissions, system calls that fail
damage.py    what is done to files
kills.py, faults.py  an attempt of each kind
judge.py     what must be the same, and what was broken when it is not
table.py     the attempts so far, and the table that is made of them

Linux only; what needs root (mounts) or strace is left out without them, and the table says so.
"""
