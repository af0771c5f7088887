/** The door of the room `facility`: what exists. */
export type {
  Cluster,
  Enclave,
  Environment,
  Facility,
  LocalCluster,
  Project,
  SlurmCluster,
  StreamingNode,
  Tier,
} from './facility.ts';
export { nameSchema } from './facility.ts';
export { type LiveProjects, liveProjects } from './live-projects.ts';
export { loadFacility, yamlFilesIn } from './load-facility.ts';
export { parseYaml, readYaml, readYamlSource, YamlError, type YamlFault } from './read-yaml.ts';
