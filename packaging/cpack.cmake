# rollcall-sidecar, rollcall-master and rollcall-cli as .deb and .rpm.
set(CPACK_PACKAGE_NAME rollcall)
set(CPACK_PACKAGE_VENDOR "rollcall")
set(CPACK_PACKAGE_CONTACT "rollcall maintainers <maintainers@rollcall.invalid>" CACHE STRING
    "Whom a package names as its maintainer")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION} CACHE STRING "The packages' version")
set(CPACK_COMPONENTS_ALL sidecar master cli)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELEASE 1)
set(CPACK_RPM_PACKAGE_RELEASE_DIST OFF)
set(CPACK_RPM_PACKAGE_LICENSE "Apache-2.0")
set(CPACK_RPM_PACKAGE_GROUP "System Environment/Daemons")
# gzip: what every rpm reads; stripped by CPack already, and its own scripts want other tools.
set(CPACK_RPM_COMPRESSION_TYPE gzip)
set(CPACK_RPM_SPEC_MORE_DEFINE "%define packager ${CPACK_PACKAGE_CONTACT}\n%define __strip /bin/true\n%define _build_id_links none\n%undefine __brp_mangle_shebangs")
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /usr/sbin /usr/lib /usr/lib/systemd /usr/lib/systemd/system /usr/lib/sysusers.d
    /usr/share/man /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man8 /usr/share/licenses /usr/share/doc)

# rollcall_package(COMPONENT SUMMARY DESCRIPTION)
function(rollcall_package component summary description)
  string(TOUPPER ${component} upper)
  macro(package_says key value)
    set(CPACK_${key} "${value}" PARENT_SCOPE)
  endmacro()
  package_says(COMPONENT_${upper}_DESCRIPTION "${description}")
  package_says(DEBIAN_${upper}_PACKAGE_NAME rollcall-${component})
  package_says(DEBIAN_${upper}_DESCRIPTION "${summary}\n${description}")
  package_says(RPM_${upper}_PACKAGE_NAME rollcall-${component})
  # Debian's synopses begin with a small letter, rpm's summaries with a capital one.
  string(SUBSTRING "${summary}" 0 1 first)
  string(SUBSTRING "${summary}" 1 -1 rest)
  string(TOUPPER "${first}" first)
  package_says(RPM_${upper}_PACKAGE_SUMMARY "${first}${rest}")
  package_says(RPM_${upper}_PACKAGE_DESCRIPTION "${description}")
  rollcall_documents(${component})
endfunction()

# What each package says of itself: documents, licences, changes, and why lintian may complain.
function(rollcall_documents component)
  set(doc ${CMAKE_INSTALL_DATADIR}/doc/rollcall-${component})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${doc} COMPONENT ${component})
  if(ROLLCALL_PORTABLE)
    set(licences ${CMAKE_INSTALL_DATADIR}/licenses/rollcall-${component})
    install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${licences} COMPONENT ${component})
    install(FILES ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${doc} COMPONENT ${component})
  else()
    set(licences ${doc}/linked-in)
    install(FILES debian/copyright ${made}/changelog.gz ${made}/changelog.Debian.gz DESTINATION ${doc} COMPONENT ${component})
    install(FILES debian/rollcall-${component}.lintian-overrides RENAME rollcall-${component}
            DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides COMPONENT ${component})
  endif()
  # Headers, of which every program has some code, and what else is linked in.
  foreach(package libcli11-dev libmsgpack-cxx-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
                  libsimdjson-dev libcpp-httplib-dev ${ROLLCALL_LINKED_IN})
    string(REGEX REPLACE "-dev$" "" name ${package})
    install(FILES /usr/share/doc/${package}/copyright DESTINATION ${licences} RENAME ${name}
            COMPONENT ${component})
  endforeach()
endfunction()

# rollcall_service_package(COMPONENT): what is run when it comes and goes.
function(rollcall_service_package component)
  string(TOUPPER ${component} upper)
  set(UNIT rollcall-${component})
  set(STATE /var/lib/rollcall/${component})
  file(READ systemd/${UNIT}.sysusers SYSUSERS)
  set(scripts ${made}/${component})
  foreach(script postinst prerm postrm)
    configure_file(debian/${script}.in ${scripts}/${script} @ONLY FILE_PERMISSIONS
                   OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
  file(WRITE ${scripts}/conffiles "/etc/rollcall/${UNIT}.ini\n")
  configure_file(debian/triggers ${scripts}/triggers COPYONLY)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
      "${scripts}/postinst;${scripts}/prerm;${scripts}/postrm;${scripts}/conffiles;${scripts}/triggers"
      PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "systemd, passwd" PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_RECOMMENDS "rollcall-cli" PARENT_SCOPE)

  foreach(script pre post preun postun)
    configure_file(rpm/${script}.in ${scripts}/${script} @ONLY)
  endforeach()
  set(CPACK_RPM_${upper}_PRE_INSTALL_SCRIPT_FILE ${scripts}/pre PARENT_SCOPE)
  set(CPACK_RPM_${upper}_POST_INSTALL_SCRIPT_FILE ${scripts}/post PARENT_SCOPE)
  set(CPACK_RPM_${upper}_PRE_UNINSTALL_SCRIPT_FILE ${scripts}/preun PARENT_SCOPE)
  set(CPACK_RPM_${upper}_POST_UNINSTALL_SCRIPT_FILE ${scripts}/postun PARENT_SCOPE)
  set(CPACK_RPM_${upper}_USER_FILELIST "%config(noreplace) /etc/rollcall/${UNIT}.ini" PARENT_SCOPE)
  # systemd-sysusers and usermod are called before the files are there.
  set(CPACK_RPM_${upper}_PACKAGE_REQUIRES "systemd" PARENT_SCOPE)
  set(CPACK_RPM_${upper}_PACKAGE_REQUIRES_PRE "systemd, shadow-utils" PARENT_SCOPE)
  set(CPACK_RPM_${upper}_PACKAGE_SUGGESTS "rollcall-cli" PARENT_SCOPE)
endfunction()

file(WRITE ${made}/changelog
     "rollcall (${CPACK_PACKAGE_VERSION}-1) unstable; urgency=medium\n\n"
     "  * What is new stands beside this file, in changelog.gz.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${ROLLCALL_DATE}\n")
if(GZIP)
  execute_process(COMMAND ${GZIP} -9nc ${made}/changelog OUTPUT_FILE ${made}/changelog.Debian.gz)
  execute_process(COMMAND ${GZIP} -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md
                  OUTPUT_FILE ${made}/changelog.gz)
endif()

rollcall_package(sidecar "tells the rollcall master about a Wazuh worker's agents"
"The sidecar of one worker of a Wazuh cluster. It reads the table of agents
in Wazuh's database daemon, turns what it sees into events, stores them and
sends them to the rollcall master over mutual TLS.")
rollcall_service_package(sidecar)
rollcall_package(master "knows which Wazuh worker has which agent"
"The master of rollcall takes the events of the sidecars on all workers of a
Wazuh cluster, decides by their versions and not by their arrival where each
agent is connected, writes every decision into a log, and answers over HTTP.")
rollcall_service_package(master)
rollcall_package(cli "shows and manages a rollcall cluster"
"The command line tool of rollcall shows what the daemons know and why,
changes what an operator may change, reads the master's log from its files,
and makes the cluster's certificates.")

include(CPack)
