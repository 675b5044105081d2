# Copyright 2026 oom_sentinel maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""
`make demo`: a small robot runs out of memory, first without and then with the sentinel.

In a memory control group of its own, below two minutes, nothing left behind but the report of the
kill.  Where no such group can be made it says why and replays a recording of a real run.
"""

import argparse
import os
import subprocess
import sys

if __package__ in (None, ''):  # python3 .../share/oom_sentinel/demo
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from demo import screen as screens  # noqa: E402


def order():
    """Print whom the kernel would kill now on this machine: real, and needs no privilege."""
    subprocess.run([sys.executable, '-m', 'oom_sentinel.cli', 'order', '-n', '5'], check=False)


def replayed(screen, why, speed):
    """Say what cannot be shown, replay it, and show live what can be."""
    screen.say(f'Replayed from a recording of a real run, because {why}.', 'warn')
    screen.say()
    screens.replay(screen, speed)
    screen.say('A run that is not replayed ends with a report of the kill.')
    screen.say()
    screen.say('Live, and without any privilege: whom the kernel would kill here, now:', 'head')
    order()


def main(words=None):
    """Play the demo; return 0, or 1 when it could not be played to its end."""
    parser = argparse.ArgumentParser(prog='demo', description=__doc__)
    parser.add_argument('--replay', action='store_true', help='replay the recording')
    parser.add_argument('--speed', type=float, default=1.0, metavar='N',
                        help='N times as fast; a replay with 0 does not pause')
    parser.add_argument('--record', action='store_true', help='keep this run as the recording')
    parser.add_argument('--svg', metavar='FILE', help='draw the recording and end')
    options = parser.parse_args(words)
    if options.svg:
        screens.draw(options.svg)
        return 0
    # A graph of its own: the demo's nodes neither see nor disturb a robot's.
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if os.environ.get('ROS_DISTRO') == 'humble':
        os.environ['ROS_LOCALHOST_ONLY'] = '1'
    os.environ['ROS_DOMAIN_ID'] = os.environ.get('DEMO_DOMAIN_ID', str(60 + os.urandom(1)[0] % 40))
    screen = screens.Screen()
    if options.replay:
        replayed(screen, 'you asked for it', options.speed)
        return 0
    try:
        from demo import story
        story.play(screen, options.speed)
    except ImportError as error:
        replayed(screen, f'{error.name} is not installed (source ROS, or use make demo)',
                 options.speed)
        return 0
    except PermissionError:
        replayed(screen, 'this user may not make a memory control group (root may)',
                 options.speed)
        return 0
    except OSError as error:
        if isinstance(error, TimeoutError):
            print(f'demo: {error}', file=sys.stderr)
            return 1
        replayed(screen, f'no memory control group can be made here: {error.strerror}',
                 options.speed)
        return 0
    except KeyboardInterrupt:
        screen.say('Stopped; everything that the demo started has ended.')
        return 1
    if options.record:
        screen.save()
    return 0


if __name__ == '__main__':
    sys.exit(main())
