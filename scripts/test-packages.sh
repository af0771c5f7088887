#!/bin/sh
# Debian packages whose real programs the tests talk to. `install` installs what is missing (root), `line` prints the apt line.
set -eu
packages='postgresql haproxy sudo redis-server python3-redis python3-zmq rabbitmq-server amqp-tools python3-pika nftables iproute2 procps faketime slapd ldap-utils openssl chromium curl slurmctld slurmd slurmdbd slurmrestd slurm-client slurm-wlm-basic-plugins slurm-wlm-mysql-plugin slurm-wlm-jwt-plugin munge mariadb-server mariadb-client'
case ${1:-line} in
  line) echo "apt-get install -y $packages" ;;
  install)
    missing=
    for package in $packages; do dpkg -s "$package" > /dev/null 2>&1 || missing="$missing $package"; done
    [ -z "$missing" ] && exit 0
    echo "test packages: installing$missing" >&2
    apt-get update -qq
    # No daemon of a package may start: the tests start their own, on free ports, in folders of their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' > "$policy"
      chmod 755 "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
    ;;
  *) echo "usage: test-packages.sh install|line" >&2; exit 2 ;;
esac
