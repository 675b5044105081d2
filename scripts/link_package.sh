#!/bin/sh
# pip installs neither data files of an editable package nor lib/PKG programs (setup.cfg's
# install_scripts); ROS looks for both.  Links keep them current without a reinstall.
set -eu
venv=$(cd "$1" && pwd)
here=$(pwd)
mkdir -p "$venv/share/ament_index/resource_index/packages" "$venv/share/oom_sentinel" \
  "$venv/lib/oom_sentinel"
touch "$venv/share/ament_index/resource_index/packages/oom_sentinel"
for item in package.xml config demo; do
  ln -sfn "$here/$item" "$venv/share/oom_sentinel/$item"
done
# `ros2 launch PACKAGE FILE` does not follow a linked folder.
rm -rf "$venv/share/oom_sentinel/launch"
mkdir "$venv/share/oom_sentinel/launch"
ln -s "$here"/launch/*.launch.py "$venv/share/oom_sentinel/launch/"
for program in oom_sentinel oom_sentinel_node; do
  ln -sfn "$venv/bin/$program" "$venv/lib/oom_sentinel/$program"
done
for place in bin lib/oom_sentinel; do
  ln -sfn "$here/scripts/oom_exec" "$venv/$place/oom_exec"
done
