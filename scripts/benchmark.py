"""Speed, memory and start-up time of nac beside EnCodec's 24 kHz model, in one run.

    python scripts/benchmark.py
    pip install --no-deps encodec einops      # for the rows of EnCodec (its code; random weights serve for speed)

Close other programs first; compare ratios, not seconds.
"""

import click

from nac.evaluation.speed import PEERS, measure, memory, start_up


@click.command()
@click.option("--threads", default="1,2", show_default=True, help="Numbers of threads to try.")
@click.option("--minutes", default="1,60", show_default=True, help="Lengths of audio for the memory figures.")
@click.option("--seconds", default=20, show_default=True, help="Length of audio for the speed figures.")
def main(threads: str, minutes: str, seconds: int) -> None:
    """Print three tables in Markdown."""
    print(f"Speed at 6 kbps on {seconds} s of audio: times real time, and CPU seconds per second of audio\n")
    print("| codec | threads | encode | decode | encode CPU s/s | decode CPU s/s |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = {}
    for count in (int(text) for text in threads.split(",")):
        for name in PEERS:
            speed = measure(name, count, seconds)
            if speed is None:
                print(f"| {name} | {count} | not installed | | | |")
                continue
            rows[name, count] = speed
            print(f"| {name} | {count} | {1 / speed.encode_wall:.0f}x | {1 / speed.decode_wall:.0f}x "
                  f"| {speed.encode_cpu:.4f} | {speed.decode_cpu:.4f} |", flush=True)
        if ("nac", count) in rows and ("EnCodec 24 kHz", count) in rows:
            ours, theirs = rows["nac", count], rows["EnCodec 24 kHz", count]
            print(f"| nac / EnCodec | {count} | {theirs.encode_wall / ours.encode_wall:.1f} times the speed "
                  f"| {theirs.decode_wall / ours.decode_wall:.1f} times the speed | | |", flush=True)
    print("\nPeak memory and time of the command line at 6 kbps\n")
    print("| audio | encode MB | decode MB | encode s | decode s |\n| --- | --- | --- | --- | --- |")
    for length, (encoded, decoded) in memory(tuple(int(text) for text in minutes.split(","))).items():
        print(f"| {length} min | {encoded.peak:.0f} | {decoded.peak:.0f} | {encoded.wall:.1f} | {decoded.wall:.1f} |",
              flush=True)
    print("\nStart-up\n\n| command | seconds |\n| --- | --- |")
    for name, wall in start_up().items():
        print(f"| {name} | {wall:.2f} |")


if __name__ == "__main__":
    main()
