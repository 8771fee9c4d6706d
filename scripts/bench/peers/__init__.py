"""What the collector is measured beside: each file is one program, run by the interpreter of its own environment.

Each is called as `FILE URL REQUESTS FOLDER`, with the key in BENCH_KEY. It asks once for each of so many series (apps
times 250 segments), lands every row in the folder or prints it, as its tool's own documentation has it, and imports
nothing of this project. A `.txt` of the same name pins what it needs.
"""
