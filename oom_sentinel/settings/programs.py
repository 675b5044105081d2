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
Every list of program names that the package knows.

A name is the program's base name (`Program.executable` or `Program.comm`), never a path.
"""

OWN_NODE = 'oom_sentinel_node'
OWN = frozenset((OWN_NODE, 'oom_sentinel'))

SHELLS = frozenset(('sh', 'bash', 'dash', 'zsh', 'fish', 'ksh', 'tcsh', 'busybox'))
EDITORS = frozenset(('vi', 'vim', 'nvim', 'nano', 'emacs', 'code', 'gedit', 'kate'))
DEBUGGERS = frozenset(('gdb', 'gdbserver', 'lldb', 'strace', 'ltrace', 'perf', 'valgrind',
                       'heaptrack'))
TOOLS = frozenset((
    'sudo', 'su', 'env', 'less', 'more', 'tail', 'grep', 'rg', 'watch', 'tmux', 'screen', 'ssh',
    'docker', 'man', 'cat', 'pgrep', 'pkill', 'timeout', 'script', 'xterm', 'journalctl', 'git',
    'find', 'xargs', 'head', 'sed', 'awk', 'gawk', 'mawk', 'diff', 'ls', 'cp', 'mv', 'rm', 'ln',
    'chmod', 'chown', 'stat', 'file', 'du', 'tar', 'zip', 'gzip', 'xz', 'zstd', 'rsync', 'scp',
    'sftp', 'curl', 'wget', 'tee', 'logger', 'nohup', 'nice', 'setsid', 'setpriv', 'choom',
    'systemd-run', 'systemd-cat', 'podman'))

# A package manager that is killed at work leaves a broken system.
PACKAGE_MANAGERS = frozenset((
    'apt', 'apt-get', 'aptitude', 'dpkg', 'dpkg-deb', 'unattended-upgr', 'unattended-upgrade',
    'packagekitd', 'rpm', 'dnf', 'yum', 'pacman', 'apk', 'zypper', 'snapd', 'flatpak'))

# Programs whose command line often carries the name of another program: a `cmd:` selector
# never matches them.
BYSTANDERS = SHELLS | EDITORS | DEBUGGERS | TOOLS | PACKAGE_MANAGERS | OWN

# Programs that may carry --ros-args for another program and are not ROS themselves.
MENTION_ROS_ARGS = (BYSTANDERS - OWN) | {'ros2'}

# Programs that run a script; the script's name then says more.  A version may follow the name.
INTERPRETERS = ('python', 'pypy', 'perl', 'ruby', 'node', 'lua')

# Infrastructure that every node depends on: it is never raised.  `fastdds discovery` is missing
# here, because it is a script: DISCOVERY_SERVER.
INFRASTRUCTURE = OWN | {'rmw_zenohd', 'micro_ros_agent'}
# `fastdds discovery` is a Python script (tools/fastdds/fastdds.py) that waits for this program;
# a version follows the name.
DISCOVERY_SERVER = 'fast-discovery-server'

# The session's infrastructure: when one of these dies, all that the user runs dies with it.
SESSION = frozenset((
    'systemd', 'init', '(sd-pam)', 'dbus-daemon', 'dbus-broker', 'dbus-broker-launch',
    'pipewire', 'pipewire-pulse', 'wireplumber', 'pulseaudio', 'Xorg', 'X', 'Xwayland', 'Xvfb',
    'Xvnc', 'Xtigervnc', 'gnome-shell', 'mutter', 'kwin_x11', 'kwin_wayland', 'plasmashell',
    'weston', 'sway', 'labwc', 'wayfire', 'hyprland', 'Hyprland', 'cage', 'lxsession', 'openbox',
    'xfce4-session', 'xfwm4', 'gnome-session-binary', 'ksmserver', 'gdm', 'gdm3',
    'gdm-session-worker', 'gdm-x-session', 'gdm-wayland-session', 'lightdm', 'sddm',
    'sshd', 'sshd-session', 'sshd-auth', 'dropbear', 'mosh-server', 'tmux: server',
    'login', 'agetty', 'getty', 'cron', 'crond', 'supervisord', 'runsv', 'runsvdir', 's6-svscan',
    's6-supervise', 'tini', 'dumb-init', 'catatonit', 'docker-init',
    'systemd-journald', 'systemd-logind', 'systemd-udevd', 'systemd-oomd', 'rsyslogd'))
# What holds containers together; a version or `-v2` may follow the name.
CONTAINER_SHIMS = ('containerd', 'dockerd', 'docker-proxy', 'conmon', 'crio', 'runc', 'crun',
                   'podman', 'lxc-start', 'lxc-monitord', 'kubelet', 'buildkitd')
# A terminal multiplexer's server carries on what runs in it; its clients have the same name.
MULTIPLEXERS = ('tmux', 'screen', 'zellij')

# A ROS package of which some word says that it drives hardware or controls motion.
DRIVER_WORDS = frozenset((
    'driver', 'drivers', 'controller', 'controllers', 'control', 'hardware', 'motor', 'motors',
    'actuator', 'actuators', 'servo', 'gripper', 'lidar', 'laser', 'imu', 'gnss', 'gps', 'can',
    'canopen', 'socketcan', 'serial', 'modbus', 'ethercat', 'base', 'bringup', 'firmware',
    'micro', 'estop', 'safety', 'puma', 'sevcon', 'dynamixel', 'px4', 'mavros', 'ros2control'))
# Device files of hardware that a driver holds open.
DRIVER_DEVICES = ('/dev/ttyS', '/dev/ttyU', '/dev/ttyA', '/dev/ttyT', '/dev/serial', '/dev/can',
                  '/dev/video', '/dev/media', '/dev/bus/usb', '/dev/i2c-', '/dev/spidev',
                  '/dev/gpiochip', '/dev/hidraw', '/dev/input/')

# A component container holds several nodes, whose names are on no command line; the executor's
# name follows (component_container_mt, component_container_isolated).
COMPONENT_CONTAINER = 'component_container'

# Programs that end processes before the kernel does.
NEIGHBOURS = ('earlyoom', 'nohang', 'systemd-oomd')

# Compilers and linkers: one job of a parallel build holds up to some GiB.  The kernel cuts
# names to 15 bytes.
COMPILERS = frozenset((
    'cc1', 'cc1plus', 'cc1obj', 'lto1', 'lto1-wpa', 'lto1-ltrans', 'lto-wrapper', 'collect2',
    'as', 'ld', 'ld.bfd', 'ld.gold', 'ld.lld', 'ld.mold', 'lld', 'mold', 'gold', 'clang',
    'clang++', 'clangd', 'gcc', 'g++', 'rustc', 'cargo', 'nvcc', 'cicc', 'ptxas', 'javac',
    'swiftc', 'moc', 'cppcheck', 'clang-tidy'))
# Programs that start the jobs of a build.
BUILD_TOOLS = frozenset(('colcon', 'make', 'gmake', 'ninja', 'cmake', 'catkin', 'catkin_make',
                         'cargo', 'bazel', 'meson', 'scons'))
